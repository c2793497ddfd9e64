"""The panel that draws a board."""
