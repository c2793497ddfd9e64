"""The liars' table: what becomes of each lie of tests/world/liar.py: `python -m tests.liars` prints it.

Every lie is tried with the file's SHA-256 known and unknown. "right bytes": the file is there, and equal to the honest one (or to
what it was changed to, whole). "refused": a sentence, and no file. Anything else is a fault.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

from launcher.core.problem import Problem
from launcher.models.download import download
from launcher.models.probe import probe, raise_refusal
from launcher.models.receive import Receiver
from launcher.models.remote import Remote
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.liar import HONEST, LIES, Liar

SIZE = 40_000_000


def what_becomes_of(lie: str, known: bool, folder: Path, content: bytes) -> tuple[str, str, int]:
    """(right bytes | refused | WRONG BYTES, the sentence, answers of the server)."""
    liar = Liar(content, lie)
    try:
        versions = {hashlib.sha256(content).hexdigest()}
        target, heard = folder / "model.safetensors", Heard()
        sentence = ""
        try:
            with mock.patch("launcher.models.probe.WAITS", (0.01, 0.02)):
                found = probe(Remote(liar.url, "model.safetensors"))
            raise_refusal(found)
            stated = hashlib.sha256(content).hexdigest() if known else found.remote.sha256
            remote = replace(found.remote, size=found.remote.size or (len(content) if known else 0), sha256=stated)
            receive = Receiver("checkpoint", "the disk", heard.stop, bool(remote.sha256))
            with (  # the pauses, hundredfold shorter
                mock.patch("random.uniform", lambda low, high: 0.01),
                mock.patch("launcher.models.download.WHOLE_WAITS", (0.02, 0.04)),
            ):
                download(remote, target, where="the disk", reporter=heard, receive=receive)
        except Problem as problem:
            sentence = problem.what
        versions.add(hashlib.sha256(liar.content).hexdigest())
        if target.exists():
            right = hashlib.sha256(target.read_bytes()).hexdigest() in versions
            return ("right bytes" if right else "WRONG BYTES"), sentence, liar.answers
        return "refused", sentence, liar.answers
    finally:
        liar.close()


def table() -> Iterator[tuple[str, bool, str, str, int]]:
    """One row for each lie, with the SHA-256 known and unknown."""
    content = safetensors(SIZE)
    content = content[:300] + hashlib.shake_256(b"weights").digest(len(content) - 300)
    for lie in (HONEST, *LIES):
        for known in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                yield lie, known, *what_becomes_of(lie, known, Path(folder), content)


if __name__ == "__main__":
    print("| lie | SHA-256 | outcome | sentence | answers |\n| --- | --- | --- | --- | --- |")
    wrong = 0
    for lie, known, outcome, sentence, answers in table():
        wrong += outcome == "WRONG BYTES"
        print(f"| {lie} | {'known' if known else 'unknown'} | {outcome} | {sentence} | {answers} |", flush=True)
    sys.exit(bool(wrong))
