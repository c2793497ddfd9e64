"""A stand-in for google.colab: the few calls the launcher makes, over the same messages to the page, and as truthful.

What each does, in what order and with which errors is as read in colabtools 3c07d77; `make colab COLABTOOLS=DIR` plays
the same scenes on the real package. The page is `tests/world/page.py`, Google's own program `google_program.py`.
"""
