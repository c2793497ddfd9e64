"""What the mirror knows of each file: whether it is kept, under which name, or why it cannot be."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from launcher.drive.kept import Mark, is_image

AGAIN_AFTER: Final = 60.0  # seconds until a file that cannot be kept is tried again
TRIES: Final = 3  # of a file whose copy failed for a reason that may pass


class Kept(NamedTuple):
    """A file that is on Drive."""

    mark: Mark
    name: str  # relative to the folder on Drive


class LeftOut(NamedTuple):
    """A file that Drive does not take."""

    mark: Mark
    reason: str
    again: float  # time.monotonic() from which it is tried again


class Ledger:
    """Files by their paths on the machine. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.seen: dict[str, Kept] = {}
        self.new: dict[str, Mark] = {}  # not kept yet
        self.left_out: dict[str, LeftOut] = {}
        self._names: dict[str, str] = {}  # name on Drive -> the file it is used for
        self._reserved: dict[str, list[str]] = {}  # file -> names that it may get
        self._failures: Counter[str] = Counter()
        self._images: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def images(self) -> int:
        """How many images are kept."""
        return self._images.total()

    @property
    def image_folders(self) -> list[str]:
        """The folders on Drive that hold them."""
        return sorted(folder for folder, count in self._images.items() if count)

    def note(self, source: str, mark: Mark) -> None:
        """The file looks like this now."""
        known = self.seen.get(source)
        if known is not None and known.mark == mark:
            self.new.pop(source, None)
        else:
            self.new[source] = mark

    def remember(self, source: str, mark: Mark, name: str) -> None:
        """The file is kept under this name."""
        with self._lock:
            self._drop(source, keep_name=name)
            self.seen[source] = Kept(mark, name)
            self._names[name] = source
            self._images[name.partition("/")[0]] += is_image(name)
            if self.new.get(source) == mark:
                del self.new[source]
            self.left_out.pop(source, None)
            self._failures.pop(source, None)

    def forget(self, source: str) -> None:
        """The file is not on the machine any more."""
        with self._lock:
            self._drop(source)
            self.new.pop(source, None)
            self.left_out.pop(source, None)
            self._failures.pop(source, None)

    def reserve(self, name: str, source: str) -> bool:
        """True if nothing else on the machine uses the name on Drive; until `release` it is this file's."""
        with self._lock:
            if self._names.setdefault(name, source) != source:
                return False
            self._reserved.setdefault(source, []).append(name)
            return True

    def release(self, source: str) -> None:
        """The names reserved for this file that it did not get are free again."""
        with self._lock:
            mine = self.seen[source].name if source in self.seen else None
            for name in self._reserved.pop(source, []):
                if name != mine and self._names.get(name) == source:
                    del self._names[name]

    def failed(self, source: str, mark: Mark, reason: str, *, for_good: bool) -> bool:
        """The file was not kept. True if from now on it is left out, which is news."""
        with self._lock:
            self._failures[source] += 1
            if not for_good and self._failures[source] < TRIES:
                return False
            news = source not in self.left_out
            self.left_out[source] = LeftOut(mark, reason, time.monotonic() + AGAIN_AFTER)
            return news

    def is_due(self, source: str, mark: Mark) -> bool:
        """True if the file should be tried now."""
        refused = self.left_out.get(source)
        return refused is None or refused.mark != mark or time.monotonic() >= refused.again

    def waiting(self) -> Iterator[Mark]:
        """The files that are on their way."""
        return (mark for source, mark in list(self.new.items()) if source not in self.left_out)

    def below(self, folders: Iterable[str]) -> list[str]:
        """The files that are kept and lie below one of the folders, which are gone."""
        starts = tuple(f"{folder}/" for folder in folders)
        return [source for source in self.seen if source.startswith(starts)] if starts else []

    def _drop(self, source: str, keep_name: str = "") -> None:
        known = self.seen.pop(source, None)
        if known is not None:
            self._images[known.name.partition("/")[0]] -= is_image(known.name)
            if known.name != keep_name and self._names.get(known.name) == source:
                del self._names[known.name]
