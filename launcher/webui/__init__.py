"""A1111's process."""
