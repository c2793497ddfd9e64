"""Bytes to a file: resumed after any cut, verified, and only then given its name. Knows nothing of models."""

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from glob import escape
from pathlib import Path
from typing import Final

import filelock
import requests

from launcher.core.folder import GB, PART, require_room, to_be_emptied
from launcher.core.problem import Problem
from launcher.core.status import Step
from launcher.models import http
from launcher.models.ranges import RangedDownload, Untrue
from launcher.models.refusals import refusal_of
from launcher.models.remote import Answer, Interrupted, Refused, Remote, refuse_a_page, stated_size

READ_IN_A_ROW: Final = 1 << 20  # bytes
ASK_FOR_ROOM_EACH: Final = 64 << 20  # bytes
ROOM_AHEAD: Final = 256 << 20  # bytes that must be free while a file comes whose size nobody states
promising: Final = threading.Lock()
promised: Final[dict[Path, int]] = {}  # unfinished file of a download that goes on -> bytes it will have

READ_ONLY: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
Disks = dict[str, Path]  # what a disk is called in messages -> a folder on it
Receive = Callable[[Path, Path], Path]  # gives an unfinished file that is whole the name that is meant, or another one


def download(
    remote: Remote, target: Path, *, where: str, own: Path, step: Step, receive: Receive = Path.rename
) -> tuple[Path, str]:
    """Fetch `remote` to `target`, which appears only when it is whole and verified; return its path and SHA-256.

    The unfinished file knows which of its bytes are there, so any cut costs a few megabytes. `where` names the disk in
    messages; `own` is a private folder on the machine's own disk, where what is written to Google Drive lies until it
    is uploaded (colabtools#659). Raises `Problem`, or `Interrupted` within a moment of ■; what came is kept if it was
    not wrong and can be gone on with.
    """
    try:
        target.parent.mkdir(exist_ok=True)  # never with what is above it: see make_folder_below
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise disk_problem(error, where, target, remote) from error
    with only_writer(target, own, step) as waited:
        if waited and target.exists() and remote.size in (0, target.stat().st_size):
            digest = sha256_of(target, step)
            if remote.sha256 in ("", digest):
                return target, digest  # another job has just fetched it
        part = target.with_name(f"{target.name}.{remote.tag}{PART}")
        disks = {where: target.parent, "the runtime's disk": own}
        for other in target.parent.glob(f"{escape(target.name)}.????????????{PART}"):
            if other != part or not remote.can_go_on:
                other.unlink()
        with promised_room(part, remote, disks):
            try:
                digest = fetch_checked(remote, part, step, disks)
            except Refused:  # it can be gone on with another day
                raise
            except Problem:
                part.unlink(missing_ok=True)
                raise
            except requests.RequestException as error:
                raise http.silence(remote, error) from http.harmless(error)
            except OSError as error:
                raise disk_problem(error, where, part, remote) from error
            return receive(part, target), digest


@contextmanager
def only_writer(target: Path, own: Path, step: Step) -> Iterator[bool]:
    """Nobody else on this machine writes that file: other jobs, kernels and services wait. Yields whether this one did.

    The lock lies in `own`: Google Drive knows none, and in a place for all another user could hold it, or lead it to a
    file of ours. The system frees it when its holder dies.
    """
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = filelock.FileLock(own / f"{hashlib.sha256(str(target.absolute()).encode()).hexdigest()[:32]}.lock")
    waited = False
    while not lock.is_locked:
        if step.stopped:
            raise Interrupted
        try:
            lock.acquire(timeout=http.STOP_LATENCY if waited else 0)
        except filelock.Timeout:
            if not waited:
                step.say(f"{target.name} is already being downloaded; waiting for it")
            waited = True
    try:
        yield waited
    finally:
        lock.release()


@contextmanager
def promised_room(part: Path, remote: Remote, disks: Disks) -> Iterator[None]:
    """Have room for what is still to come of an unfinished file, also beside all that are downloaded just now.

    Raises `Problem` where it does not fit, before anything is written.
    """
    what = f"The model {remote.name}"
    with promising:
        own = still_to_come(part, remote.size)
        others = sum(still_to_come(one, size) for one, size in promised.items())
        for where, folder in disks.items():
            require_room(folder, own, where, what, folder.parent if folder == part.parent else None)
            if others:
                require_room(folder, own + others, where, f"{what}, with what is being downloaded beside it,")
        promised[part] = remote.size
    try:
        yield
    finally:
        del promised[part]


def still_to_come(part: Path, size: int) -> int:
    """The bytes of an unfinished file that are not on the disk yet."""
    return max(0, size - part.stat().st_blocks * 512) if part.exists() else size


def sha256_of(path: Path, step: Step) -> str:
    """The SHA-256 of a file, with progress. Raises `Interrupted`."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(READ_IN_A_ROW):
            if step.stopped:
                raise Interrupted
            digest.update(piece)
            step.progress(file.tell(), size)
    return digest.hexdigest()


def fetch_checked(remote: Remote, part: Path, step: Step, disks: Disks) -> str:
    """Bring all bytes into `part`; return their SHA-256, computed on the way: one pass over the data.

    Ranges side by side where parts can be told to belong together, and where the server answers what it was asked;
    else, or where what came is not what was meant, one answer from the beginning to the end: what there is of that one
    is of no use later. Raises `Problem` unless size and SHA-256 are right.
    """
    if remote.can_go_on:
        try:
            return http.until_stopped(step.stop, lambda: RangedDownload(remote, part, step).run())
        except Untrue:
            step.say(f"{remote.name} does not come right in parts; it is being downloaded in one piece")
        part.unlink(missing_ok=True)  # a connection may still be writing to it
    whole = partial(fetch_whole, remote, part, step, disks)
    try:
        return http.until_stopped(step.stop, lambda: http.retrying(whole, step.stop.wait))
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def fetch_whole(remote: Remote, part: Path, step: Step, disks: Disks) -> str:
    """The file in one answer, from its beginning to its end, and not a byte more than it states."""
    if step.stopped:  # nobody waits for this any longer, nor deletes what it writes
        raise Interrupted
    digest, have = hashlib.sha256(), 0
    with part.open("wb") as file, http.WebSession() as session, session.ask(remote) as response:
        if response.status_code != 200:
            raise refusal_of(remote, Answer(502))  # part of a file nobody asked a part of
        stated = stated_size(response)
        if remote.size and stated not in (0, remote.size):
            raise Problem(f"{remote.name} has changed at {remote.host} in the meantime.", "Try again.")
        whole = stated or remote.size
        for piece in http.pieces(response, READ_IN_A_ROW):
            if not have:
                refuse_a_page(remote, piece)
            if step.stopped:
                raise Interrupted
            if not remote.size and have // ASK_FOR_ROOM_EACH != (have + len(piece)) // ASK_FOR_ROOM_EACH:
                for where, folder in disks.items():
                    require_room(folder, ROOM_AHEAD, where, f"{remote.name}, of which {have / GB:.1f} GB have come,")
            file.write(piece)
            digest.update(piece)
            have += len(piece)
            if whole and have > whole:
                what = f"{remote.host} sends more than the {whole} bytes of {remote.name}."
                raise Problem(what, "Choose another source.")
            step.progress(have, whole)
        if stated and have != stated:
            raise requests.ConnectionError("the answer was cut off")
    if remote.size not in (0, have):
        raise Problem(f"{remote.name} is incomplete: {have} of {remote.size} bytes.", "Try again.")
    if remote.sha256 not in ("", digest.hexdigest()):
        raise Problem(
            f"{remote.name} arrived damaged: its checksum does not match. It was deleted.",
            "Download it again. If this happens twice, use another source.",
        )
    return digest.hexdigest()


def disk_problem(error: OSError, where: str, part: Path, remote: Remote) -> Problem:
    """A write that failed, in words."""
    if error.errno == errno.ENOSPC:
        do = f"Free some space on {to_be_emptied(where)} and try again{remote.goes_on}."
        return Problem(f"{where} is full.", do)
    if error.errno in READ_ONLY:
        why = "it was probably shared with you without permission to edit"
        do = "Ask its owner to let you edit it, or use a folder of your own in its place."
        return Problem(f"{part.parent.name} on {where} is read-only: {why}.", do)
    if error.errno in (errno.EIO, errno.ENOTCONN):
        return Problem(f"{where} no longer answers.", f"Press ▶ again to reconnect it{remote.goes_on}.")
    return Problem(f"{part.name} could not be written: {error.strerror or error}.", "Try again.")
