"""The one-click launcher: one small module a room, built into `OneClickLauncher.ipynb`."""

__version__ = "1.2.0"  # the one place: pyproject, the title cell, the panel and the door read it
