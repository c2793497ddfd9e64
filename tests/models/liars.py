"""The liars' table: what becomes of each lie of tests/world/liar.py; docs/dev/downloads.md (`make docs ALL=yes`).

Every lie is tried with the file's SHA-256 known and unknown. "right bytes": the file is there, and equal to the honest
one (or to what it was changed to, whole). "refused": a sentence, and no file. Anything else is a fault.
"""

import functools
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from launcher.core.problem import Problem
from launcher.models.download import download
from launcher.models.fetch import receive
from launcher.models.http import probe
from launcher.models.ranges import CHUNK
from launcher.models.remote import Remote
from tests.conftest import ROOT
from tests.models import bombs
from tests.models.downloading import OWN
from tests.models.fetching import a_fetcher, hurry
from tests.world import safetensors
from tests.world.heard import Heard
from tests.world.liar import HONEST, LIES, Liar

PAGE = ROOT / "docs" / "dev" / "downloads.md"


@dataclass(frozen=True)
class Outcome:
    """What became of a lie. `answers` is how often the server was asked."""

    result: str  # right bytes, refused, or WRONG BYTES
    sentence: str
    answers: int


def weights(size: int) -> bytes:
    """A checkpoint whose bytes are all different from their neighbours."""
    content = safetensors(size)
    return content[:500] + hashlib.shake_256(b"weights").digest(len(content) - 500)


def what_becomes_of(lie: str, known: bool, folder: Path, size: int, stretch: int) -> Outcome:
    """Fetch a file of `size` bytes in stretches of `stretch` from a server with that lie; pauses are a hundredth."""
    content = weights(size)
    digest = hashlib.sha256(content).hexdigest()
    liar, target, heard, sentence = Liar(content, lie, stretch), folder / "model.safetensors", Heard(), ""
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        patch.setattr("random.uniform", lambda low, high: 0.01)  # the pauses of ranges that failed, too
        patch.setattr("launcher.models.ranges.RUN", stretch // CHUNK)  # a file of 3 MB would be a single one
        try:
            found = probe(Remote(liar.url, "model.safetensors"))
            remote = replace(found, size=found.size or (len(content) if known else 0))
            remote = replace(remote, sha256=digest) if known else remote
            received = functools.partial(receive, a_fetcher(folder), kind="checkpoint", whole=not remote.sha256)
            download(remote, target, where="the disk", own=OWN, step=heard, receive=received)
        except Problem as problem:
            sentence = problem.what
        finally:
            liar.close()
    if not target.exists():
        return Outcome("refused", sentence, liar.answers)
    versions = {digest, hashlib.sha256(liar.content).hexdigest()}
    right = hashlib.sha256(target.read_bytes()).hexdigest() in versions
    return Outcome("right bytes" if right else "WRONG BYTES", sentence, liar.answers)


def table() -> Iterator[tuple[str, bool, Outcome]]:
    """One row for each lie, with the SHA-256 known and unknown."""
    for lie in (HONEST, *LIES):
        for known in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                yield lie, known, what_becomes_of(lie, known, Path(folder), 40_000_000, 8 << 20)


def page() -> str:
    """docs/dev/downloads.md."""
    rows, wrong = [], 0
    for lie, known, outcome in table():
        wrong += outcome.result == "WRONG BYTES"
        does = LIES.get(lie, "it tells the truth")
        rows.append(f"| {does} | {'known' if known else 'unknown'} | {outcome.result} | {outcome.sentence} |")
    return "\n".join([
        "# Servers that lie", "", "Made by `make docs ALL=yes`: a file of 40 MB from a server that lies in "
            "one way, whose SHA-256",
        "a source states, or none does. Wrong bytes are never put in place; an honest whole answer is taken where "
            "ranges are not honest.", "",
        "| what the server does | SHA-256 | outcome | what is said |", "| --- | --- | --- | --- |", *rows, "",
        f"{len(rows)} runs, {wrong} with wrong bytes.", "",
        "## Servers that send too much, or nothing", "",
        "The most memory (over what the process had) and room on the disk that it cost, what stays on the disk, how long until it",
        "was over (a question may take 3 s here, 5 minutes in a launch), and how long after ■ where that was pressed.", "",
        "| what the server sends | memory | disk | stays | over after | ■ heard after | what is said |",
        "| --- | --- | --- | --- | --- | --- | --- |", *bombs.table(), "",
    ])  # fmt: skip
