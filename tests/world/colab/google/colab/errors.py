"""Errors of google.colab that share a base class."""


class Error(Exception):
    """The base class."""
