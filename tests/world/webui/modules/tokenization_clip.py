"""CLIP's list of words, read where transformers reads it: its name stands in the traceback of a damaged one."""

import json


def read(file: str) -> dict:
    with open(file, encoding="utf-8") as words:
        return json.load(words)
