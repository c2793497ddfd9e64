"""The web UI's own Python environment."""
