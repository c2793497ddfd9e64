"""What must hold of a small file on Drive before it comes back: Drive empties, cuts and garbles files.

Of what the hub's client has fetched the checksums are kept on Drive, too, for it asks no more for a file that is
there; what launchers before this one kept must at least be what its name says. What is not is fetched or made anew.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import write_safely
from launcher.core.outside import Damaged, parsed_json, parsed_text, read_bytes
from launcher.core.session import read_object
from launcher.drive.names import HUB_CACHE
from launcher.webui.outputs import FETCHED

COMES_BACK: Final = 50_000_000  # bytes; larger files stay on Drive
HUB_CHECKSUMS: Final = "oneclick-hub.json"  # on Drive: {name: SHA-256}
STATES: Final = "config_states"  # A1111's own, of its Extensions tab
LATEST: Final = 1 << 33  # seconds; A1111 dies of a date that there is not
NO_MERGE: Final = 1000  # words of a vocabulary that came by no merge: single letters, and a few with a meaning


class Checks:
    """The checksums of what lies in the hub's cache on Drive. Copies that go on side by side may note some at once."""

    def __init__(self, drive_dir: Path) -> None:
        self.drive_dir, self._file = drive_dir, drive_dir / HUB_CHECKSUMS
        self._new: dict[str, str] = {}

    def note(self, path: Path, name: str) -> None:
        """The file is on Drive under this name, as it is on the machine."""
        if name.startswith(f"{HUB_CACHE}/") and path.stat().st_size <= COMES_BACK:
            self._new[name] = checksum_of(path)

    def write(self) -> None:
        """Keep on Drive what was noted. Raises `OSError`."""
        if new := dict(self._new):
            write_safely(self._file, json.dumps(read_object(self._file) | new, indent=1))
            self._new = {name: known for name, known in self._new.items() if name not in new}

    def read(self) -> dict[str, Any]:
        return read_object(self._file)


def checksum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_file(part: Path, name: str, known: object, beside: Path) -> None:
    """Raise `Damaged` for a file that came from Drive as `part`. `known` is its checksum, if it is known; `beside` the
    folder on Drive that it came from.
    """
    folder, last = name.partition("/")[0], name.rpartition("/")[2]
    if known is not None and folder == HUB_CACHE:
        if checksum_of(part) != known:
            raise Damaged(last, "it is not what was kept there")
    elif folder == HUB_CACHE:
        check_fetched(read_bytes(part, COMES_BACK), name, beside)
    elif folder == STATES:
        check_state(read_bytes(part, COMES_BACK), last)
    elif name.endswith(".json"):
        parsed_json(read_bytes(part, COMES_BACK), dict, last)
    elif folder == FETCHED:
        plain_text(read_bytes(part, COMES_BACK), last)
    elif name.endswith((".csv", ".txt")):
        parsed_text(read_bytes(part, COMES_BACK), last)


def plain_text(data: bytes, what: str) -> str:
    """The text in UTF-8, as it was fetched: nobody writes it by hand."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Damaged(what, "it holds no text") from error
    return parsed_text(data, what)


def check_state(data: bytes, what: str) -> None:
    """One of A1111's states: the page is not built where one's date is none."""
    made = parsed_json(data, dict, what).get("created_at", 0)
    if not isinstance(made, int | float) or not 0 <= made < LATEST:
        raise Damaged(what, "it has no date")


def check_fetched(data: bytes, name: str, beside: Path) -> None:
    """A file of the hub's cache, of which no checksum is known."""
    folders, last = name.split("/")[:-1], name.rpartition("/")[2]
    if ".no_exist" in folders:  # such a file says by its name alone that the hub has none
        return
    if "refs" in folders and not re.fullmatch(rb"[0-9a-f]{40}", data):
        raise Damaged(last, "it names no version")
    if last.endswith(".json"):
        parsed_json(data, object, last)
    elif last.endswith(".txt"):
        text, words = plain_text(data, last), read_object(beside / "vocab.json") if last == "merges.txt" else {}
        if len(words) > text.count("\n") + NO_MERGE:
            raise Damaged(last, "it is cut off")
    elif not data.strip(b"\0"):
        raise Damaged(last, "nothing is in it")
