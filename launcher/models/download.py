"""Bytes to a file: resumed after any cut, verified, and only then given its name. Knows nothing of models."""

import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Final

import filelock
import requests

from launcher.core.folder import PART, require_room
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models.part_file import PartFile
from launcher.models.ranged_source import FAST_PIECE, RangedSource, RangesIgnored, Untrue, refuse_a_page
from launcher.models.refusals import LONGEST_WAIT, Refused, check_status, disk_problem, goes_on, refused_problem
from launcher.models.remote import Interrupted, Remote
from launcher.models.web import (
    STOP_LATENCY,
    TIMEOUT,
    Session,
    harmless,
    headers_for,
    sha256_told,
    size_told,
    until_stopped,
)

CONNECTIONS: Final = 16  # side by side at most, as aria2c -x16: many servers limit each connection
CONNECTIONS_AT_FIRST: Final = 4  # the others follow once it is slower than PLENTY
PLENTY: Final = 400_000_000  # bytes a second; beyond it connections only wait for each other (docs/benchmarks.md)
LOOK_AT_SPEED_EVERY: Final = 0.06  # seconds
HASH_PIECE: Final = 4 << 20  # bytes hashed at once
WHOLE_WAITS: Final = (2.0, 4.0)  # seconds before asking again for a file that comes in one go or not at all


def put_in_place(part: Path, target: Path) -> Path:
    """Give a verified file its name; nothing that is there already is overwritten."""
    if target.exists():
        raise Problem(
            f"There is already another file called {target.name}.",
            "Rename the old one, or delete it, and press ▶ again.",
        )
    os.replace(part, target)
    return target


def download(
    remote: Remote,
    target: Path,
    *,
    where: str,
    step: Step,
    receive: Callable[[Path, Path], Path] = put_in_place,
) -> tuple[Path, str]:
    """Fetch `remote` to `target`, which appears only when it is whole and verified; return its path and SHA-256.

    The unfinished file knows which of its bytes are there, so any cut, in this session or an earlier one, costs a
    megabyte or two. `receive` gets the whole file and its target, looks at it, and gives it its name, perhaps another
    one.
    `where` names the disk in messages ("Google Drive"). Raises `Problem`, or `Interrupted` within a moment of ■; what
    is fetched already is kept, except when it turned out to be wrong.
    """
    target.parent.mkdir(exist_ok=True)  # never with what is above it: see make_folder_below
    with only_writer(target, step) as waited:
        if waited and target.exists() and (digest := same_file(remote, target)):
            return target, digest  # another cell has just fetched it
        part = target.with_name(f"{target.name}.{remote.tag}{PART}")
        for other in target.parent.glob(f"{escape(target.name)}.????????????{PART}"):
            if other != part or not remote.can_go_on:
                other.unlink()
        if remote.size:
            there = part.stat().st_blocks * 512 if part.exists() else 0
            require_room(target.parent, remote.size - there, where, f"The model {remote.name}", target.parent.parent)
        try:
            digest = fetch(remote, part, step)
        except Problem:
            part.unlink(missing_ok=True)
            raise
        except Refused as error:
            raise refused_problem(remote, error) from error
        except requests.RequestException as error:
            raise Problem(
                f"{remote.name} could not be downloaded: {remote.host} does not answer ({type(error).__name__}).",
                f"Check the connection and press ▶ again{goes_on(remote)}.",
            ) from harmless(error)
        except OSError as error:
            raise disk_problem(error, where, part, remote) from error
        verify(remote, part, digest)
        return receive(part, target), digest


@contextmanager
def only_writer(target: Path, step: Step) -> Iterator[bool]:
    """Nobody else on this machine writes that file: other jobs, kernels and services wait. Yields whether this one did.

    The lock lies on the machine's own disk, for Google Drive knows none; the system frees it when its holder dies.
    """
    place = Path(tempfile.gettempdir()) / f"oneclick-downloads-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    lock = filelock.FileLock(place / f"{hashlib.sha256(str(target.absolute()).encode()).hexdigest()[:32]}.lock")
    waited = False
    while True:
        if step.stopped:
            raise Interrupted
        try:
            lock.acquire(timeout=0)
            break
        except filelock.Timeout:
            if not waited:
                step.say(f"{target.name} is already being downloaded; waiting for it")
            waited = True
            step.stop.wait(STOP_LATENCY)
    try:
        yield waited
    finally:
        lock.release()


def same_file(remote: Remote, path: Path) -> str:
    """The SHA-256 of the file there if it is what `remote` leads to, else ""."""
    if remote.size and path.stat().st_size != remote.size:
        return ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest if remote.sha256 in ("", digest) else ""


def fetch(remote: Remote, part: Path, step: Step) -> str:
    """Bring all bytes into `part`; return their SHA-256, computed on the way: one pass over the data.

    Ranges side by side where parts can be told to belong together, and where the server answers what it was asked;
    else, or where what came is not what its checksum says, one answer from the beginning to the end.
    """
    if remote.can_go_on:
        try:
            digest = fetch_ranges(remote, part, step)
            if remote.sha256 in ("", digest):
                return digest
            step.say(f"{remote.name} arrived with wrong bytes; it is being downloaded again in one piece")
        except RangesIgnored:
            pass
        except Untrue:
            part.unlink()
    for wait in (*WHOLE_WAITS, None):
        try:
            return until_stopped(step.stop, lambda: fetch_whole(remote, part, step))
        except Refused as error:
            if wait is None or not error.may_pass:
                raise
            step.stop.wait(min(LONGEST_WAIT, error.retry_after or wait))
        except requests.RequestException:
            if wait is None:
                raise
            step.stop.wait(wait)
    raise AssertionError


def fetch_ranges(remote: Remote, part: Path, step: Step) -> str:
    """The file in ranges, several at once."""
    with PartFile(part, remote.size) as file:
        source = RangedSource(remote, file, step)
        failures: list[Exception] = []

        def work() -> None:
            try:
                source.work()
            except Exception as error:  # it is raised again below, in the thread that waits
                failures.append(error)
                file.stir()

        def begin(count: int) -> None:
            for _ in range(count):
                threading.Thread(target=work, daemon=True).start()

        digest, hashed, begun = hashlib.sha256(), 0, 1
        begin(1)
        looked, there = time.monotonic(), source.received
        try:
            while hashed < remote.size:
                if step.stopped:
                    raise Interrupted
                ready = file.wait_beyond(hashed)
                since, came = time.monotonic() - looked, source.received - there
                if begun == 1 and source.answered.is_set():
                    begin(CONNECTIONS_AT_FIRST - 1)
                    begun, looked, there = CONNECTIONS_AT_FIRST, time.monotonic(), source.received
                elif since > LOOK_AT_SPEED_EVERY and begun > 1:
                    if came < PLENTY * since and begun < CONNECTIONS:
                        begin(CONNECTIONS - begun)
                        begun = CONNECTIONS
                    looked, there = time.monotonic(), source.received
                if failures:
                    raise failures[0]
                if ready > hashed:
                    digest.update(file.read(hashed, min(ready - hashed, HASH_PIECE)))
                    hashed += min(ready - hashed, HASH_PIECE)
        finally:
            source.given_up.set()
            file.wake()
        for offset, seam in source.seams.items():
            if file.read(offset, len(seam)) != seam:
                raise Untrue("its parts do not fit together")
        file.finish()
    return digest.hexdigest()


def fetch_whole(remote: Remote, part: Path, step: Step) -> str:
    """The file in one answer, from its beginning to its end."""
    digest, have = hashlib.sha256(), 0
    with (
        part.open("wb") as file,
        Session() as session,
        session.get(remote.url, headers=headers_for(remote), stream=True, timeout=TIMEOUT) as answer,
    ):
        check_status(answer, remote.url)
        if answer.status_code != 200:
            raise Refused(502, 0.0)  # part of a file nobody asked a part of
        told, stated = size_told(answer), sha256_told(answer)
        if (remote.size and told and told != remote.size) or (remote.sha256 and stated not in ("", remote.sha256)):
            raise Problem(f"{remote.name} has changed at {remote.host} in the meantime.", "Press ▶ again.")
        for piece in answer.iter_content(FAST_PIECE):
            if not have:
                refuse_a_page(remote, piece)
            if step.stopped:
                raise Interrupted
            file.write(piece)
            digest.update(piece)
            have += len(piece)
            step.progress(have, remote.size or told)
        if told and have != told:
            raise requests.ConnectionError("the answer was cut off")
        if stated and not remote.sha256 and digest.hexdigest() != stated:  # a known one is compared by `verify`
            raise requests.ConnectionError("the answer is not what its checksum says")
    return digest.hexdigest()


def verify(remote: Remote, part: Path, digest: str) -> None:
    """Size and SHA-256; a file that is wrong is deleted, so that nothing trusts it later."""
    size = part.stat().st_size
    if remote.size and size != remote.size:
        part.unlink()
        raise Problem(f"{remote.name} is incomplete: {size} of {remote.size} bytes.", "Press ▶ again.")
    if remote.sha256 and digest != remote.sha256:
        part.unlink()
        raise Problem(
            f"{remote.name} arrived damaged: its checksum does not match. It was deleted.",
            "Press ▶ to download it again. If this happens twice, use another source.",
        )
