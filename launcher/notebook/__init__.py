"""The notebook: its cells and how it is built."""
