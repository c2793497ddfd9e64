"""The one-click launcher: one small module a room, built into `OneClickLauncher.ipynb`."""
