"""Which extension keeps the web UI from starting, found by starting without it."""

from collections.abc import Iterator
from typing import Final

from launcher.core.folder import Folder
from launcher.extensions.files import history_of, kept_extensions, kept_place, switch, switched_off
from launcher.source.kept import used_commit
from launcher.webui.explain import fatal_part, last_lines

MOST_TRIALS: Final = 4  # starts without one extension each, before all suspects are left out


class Suspicion:
    """Finds the extension that keeps the web UI from starting, by starting without it.

    `good` has the versions (name to commit) with which it started last.
    """

    def __init__(self, folder: Folder, good: dict[str, str]) -> None:
        self.folder, self.good = folder, good
        self._sure: set[str] = set()
        self._trial: set[str] = set()
        self._trials: Iterator[set[str]] | None = None

    @property
    def blamed(self) -> list[str]:
        """The extensions that are switched off now because of it."""
        return sorted(self._sure | self._trial)

    def switch_next(self, log: str) -> bool:
        """After a start that failed with this log: switch off the next to try. False if nothing is left to try."""
        switch(self.folder, on=self._trial)
        self._trial = set()
        found = suspects(self.folder, log, self.good)
        if len(found) == 1:
            self._sure |= set(found)
            switch(self.folder, off=self._sure)
            return True
        if self._trials is None:
            self._trials = iter([*({name} for name in found[:MOST_TRIALS]), set(found)])
        self._trial = next(self._trials, set())
        switch(self.folder, off=self._trial)
        return bool(self._trial)

    def acquit(self) -> None:
        """It was none of them: switch them on again."""
        switch(self.folder, on=self._sure | self._trial)
        self._sure, self._trial = set(), set()


def suspects(folder: Folder, log: str, good: dict[str, str]) -> list[str]:
    """Which extensions may have kept the web UI from starting, the newest first.

    The one its last words name, else those that changed since it started last, else all.
    """
    off = switched_off(folder)
    names = [name for name in kept_extensions(folder) if name not in off]
    tail = fatal_part(log) or last_lines(log)
    named = [name for name in names if f"extensions/{name}/" in tail]
    if named:
        return [max(named, key=lambda name: tail.rfind(f"extensions/{name}/"))]
    new = [name for name in names if good.get(name) != used_commit(history_of(folder, name))] or names
    return sorted(new, key=lambda name: kept_place(folder, name).stat().st_mtime, reverse=True)
