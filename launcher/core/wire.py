"""The socket between the keeper and a window, which is a cell of the notebook: one JSON object a line.

A window says one `Request`, then any of `Press`, `Answer`, `Unanswered`, `StopJob`. The keeper says `Show`, `Ask`,
`Enter`, and `Over` when there is nothing left to show. Whoever closes the connection without that has died.

One message never changes, so that every later version of the launcher can have an older keeper end: `FINISH`. The
keeper copies what is still to be copied, leaves the web UI, the door and the link running, and ends.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

FINISH: Final = b'{"is": "Finish"}\n'
LONGEST_LINE: Final = 16 << 20  # bytes


@dataclass(frozen=True)
class Finish:
    """Copy what is to be copied, and end."""


@dataclass(frozen=True)
class Request:
    """What a cell wants: `do` names it ("launch", "add_model" …), `fields` are its form's values.

    `form` holds the first cell's values, where the window knows them and no keeper does. `version` is the package's
    hash.
    """

    do: str
    fields: dict[str, Any]
    form: dict[str, Any] | None = None
    version: str = ""


@dataclass(frozen=True)
class Press:
    """A button was pressed."""

    button: str


@dataclass(frozen=True)
class Answer:
    """The answer to a question: what the dialog gave, as plain data."""

    number: int
    value: dict[str, Any]


@dataclass(frozen=True)
class Unanswered:
    """■ was pressed while a dialog was open."""

    number: int


@dataclass(frozen=True)
class StopJob:
    """■ was pressed: what this cell began should end (a launch goes on: ■ only closes its window)."""


@dataclass(frozen=True)
class Show:
    """The board as it is now (`Snapshot.as_json`)."""

    board: dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """A question that only a notebook can put to a person: `kind` is one of `colab.dialogs`."""

    number: int
    kind: str
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Enter:
    """A link that opens the web UI logged in, once."""

    link: str


@dataclass(frozen=True)
class Over:
    """There is nothing left to show: the cell ends."""


Message = Finish | Request | Press | Answer | Unanswered | StopJob | Show | Ask | Enter | Over
KINDS: Final[dict[str, Any]] = {
    kind.__name__: kind for kind in (Finish, Request, Press, Answer, Unanswered, StopJob, Show, Ask, Enter, Over)
}


def encode(message: Message) -> bytes:
    """One line for the socket."""
    return json.dumps({"is": type(message).__name__, **asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line; raises `ValueError` for anything that is none of ours."""
    told = json.loads(line)
    try:
        message: Message = KINDS[told.pop("is")](**told)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a message of the launcher: {line[:80]!r}") from error
    return message


@contextmanager
def address_of(place: Path) -> Iterator[str]:
    """An address for the socket at `place` that is short enough: the system allows 107 bytes, and folders have long
    names.
    """
    folder = os.open(place.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
