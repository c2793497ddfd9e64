"""The order of a launch."""
