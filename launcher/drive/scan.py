"""The machine's files looked through: all of them, or just those that changed."""

import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from launcher.drive.kept import NOT_ON_TOP, enters, files_below, is_kept_link, is_kept_name, mark_of
from launcher.drive.ledger import Ledger
from launcher.drive.troubles import printable

MANY: Final = 10  # files of one folder that are gone at once


class Scan:
    """Writes to the ledger how the files look now, and says what is gone."""

    def __init__(self, data: Path, ledger: Ledger, say: Callable[[str], None]) -> None:
        self.data, self.ledger, self.say = str(data), ledger, say
        self.seconds = 0.0  # how long the last look at everything took
        self._inode = 0  # of the data directory
        self._elsewhere: dict[str, str] = {}  # folder outside of the data directory -> its name on Drive
        self._unreadable: set[str] = set()
        self._said: set[str] = set()

    def name_of(self, source: str) -> str:
        """The name on Drive that a file should have."""
        folder = self._place_of(source)
        kept_as = self._elsewhere.get(folder, "")
        inside = os.path.relpath(source, folder)
        return f"{kept_as}/{inside}" if kept_as else inside

    def is_elsewhere(self, source: str) -> bool:
        """True for a file outside of the data directory."""
        return self._place_of(source) != self.data

    def roots(self, elsewhere: Mapping[Path, str]) -> set[str]:
        """The folders to follow: no links, which lead to Drive, and nothing that is not kept."""
        if not os.path.isdir(self.data):
            return set()
        with os.scandir(self.data) as entries:
            top = {e.path for e in entries if not e.is_symlink() and e.is_dir() and e.name not in NOT_ON_TOP}
        return top | {str(folder) for folder in elsewhere if folder.is_dir()}

    def is_another_folder(self) -> bool:
        """True if the data directory was deleted and made anew: what was in it is forgotten, nothing deleted."""
        before, self._inode = self._inode, os.stat(self.data).st_ino
        if before in (0, self._inode):
            return False
        for source in [source for source in (*self.ledger.seen, *self.ledger.new) if not self.is_elsewhere(source)]:
            self.ledger.forget(source)
        return True

    def swept_away(self, gone: Collection[str]) -> set[str]:
        """Of the files that are gone: those whose whole folder at the top of the data directory went, or lost all.

        Nobody deletes that much in the web UI. It is the machine's disk that was cleared, and Drive keeps it.
        """
        by_top: dict[str, list[str]] = {}
        for source in gone:
            top, below, _ = os.path.relpath(source, self.data).partition("/")
            if below:
                by_top.setdefault(os.path.join(self.data, top), []).append(source)
        swept: set[str] = set()
        for top, sources in by_top.items():
            all_of_it = len(sources) >= MANY and len(sources) == len(self.ledger.below([top]))
            if all_of_it or not os.path.isdir(top):
                swept |= set(sources)
        return swept

    def everything(self, elsewhere: Mapping[Path, str]) -> list[str]:
        """Look at all files; returns those that are kept and gone."""
        began = time.monotonic()
        self._unreadable.clear()
        self._know(elsewhere)
        found: set[str] = set()
        for root in (self.data, *self._elsewhere):
            for source, mark in files_below(root, self._folders(root), self._fault):
                found.add(source)
                self.ledger.note(source, mark)
        for source in [source for source in self.ledger.new if source not in found and not self._hidden(source)]:
            del self.ledger.new[source]
        self.seconds = time.monotonic() - began
        return [source for source in self.ledger.seen if source not in found and not self._hidden(source)]

    def some(self, elsewhere: Mapping[Path, str], changed: Collection[str], gone: Collection[str]) -> list[str]:
        """Look at these paths and at the top of the data directory; returns what of them and of `gone` is gone."""
        self._know(elsewhere)
        paths = {os.path.dirname(path) if "\ufffd" in path else path for path in changed}  # no letters: look around it
        with os.scandir(self.data) as entries:
            paths |= {e.path for e in entries if not e.is_symlink() and e.is_file()}
        missing = {source for source in (*gone, *self.ledger.new) if not os.path.lexists(source)}
        for path in paths:
            link = os.path.islink(path) and not is_kept_link(self._folders(os.path.dirname(path)), path)
            if link or not os.path.lexists(path):
                missing.add(path)
            else:
                self._look_at(path)
        for source in missing:
            self.ledger.new.pop(source, None)
        folders = [path for path in missing if path not in self.ledger.seen]
        return [path for path in missing if path in self.ledger.seen] + self.ledger.below(folders)

    def _know(self, elsewhere: Mapping[Path, str]) -> None:
        """A place outside stays known when the settings name another: what was written there is kept all the same."""
        self._elsewhere |= {str(folder): name for folder, name in elsewhere.items()}

    def _look_at(self, path: str) -> None:
        folders = self._folders(path if os.path.isdir(path) else os.path.dirname(path))
        if not enters(folders) or self._is_behind_link(path):
            return
        if os.path.isdir(path):
            for source, mark in files_below(path, folders, self._fault):
                self.ledger.note(source, mark)
        elif os.path.isfile(path) and is_kept_name(os.path.basename(path)):
            try:
                self.ledger.note(path, mark_of(os.stat(path)))
            except OSError as error:
                self._fault(path, error)

    def _is_behind_link(self, path: str) -> bool:
        """True if the path leads through a link below its place: it would lead to Drive."""
        place = self._place_of(path)
        inside = os.path.relpath(os.path.dirname(path), place)
        return os.path.realpath(os.path.dirname(path)) != os.path.normpath(f"{os.path.realpath(place)}/{inside}")

    def _place_of(self, path: str) -> str:
        """The folder that is kept and holds the path: one of those outside, else the data directory."""
        inside = [folder for folder in self._elsewhere if path == folder or path.startswith(f"{folder}/")]
        return max(inside, key=len, default=self.data)

    def _folders(self, folder: str) -> tuple[str, ...]:
        """The parts of a folder's path as it is kept."""
        place = self._place_of(folder)
        inside = Path(os.path.relpath(folder, place)).parts
        return (*Path(self._elsewhere.get(place, "")).parts, *inside)

    def _hidden(self, source: str) -> bool:
        """True if nobody knows whether the file is there: a folder above it could not be read."""
        return any(source.startswith(f"{folder}/") or source == folder for folder in self._unreadable)

    def _fault(self, path: str, error: OSError) -> None:
        self._unreadable.add(path)
        if path not in self._said:
            self._said.add(path)
            self.say(f"{printable(path)} cannot be read ({os.strerror(error.errno or 0)}), so nothing in it is kept.")
