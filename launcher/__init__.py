"""The one-click launcher: small modules, built into `OneClickLauncher.ipynb`."""

__version__ = "2.0.0"  # the one place: pyproject, the title cell, the panel and the page read it

# Where it lives. They stand here and nowhere else: a fork changes them.
OWNER = "beothorn"
REPOSITORY = "OneClickStableDifusionAutomatic1111Colab"
BRANCH = "main"
NOTEBOOK = "OneClickLauncher.ipynb"
COLAB_LINK = f"https://colab.research.google.com/github/{OWNER}/{REPOSITORY}/blob/{BRANCH}/{NOTEBOOK}"
