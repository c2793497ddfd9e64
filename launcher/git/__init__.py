"""Histories kept on Drive and files on the machine, with git."""
