"""Which extension keeps the web UI from starting, found by starting without it."""

from collections.abc import Iterator
from typing import Final

from launcher.core.folder import Folder
from launcher.extensions.extension import extensions_on_drive, switch, switched_off
from launcher.webui.explain import last_part

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
    def disabled(self) -> list[str]:
        """The extensions that are switched off now because of it."""
        return sorted(self._sure | self._trial)

    def disable_next(self, log: str) -> bool:
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

    def restore(self) -> None:
        """It was none of them: switch them on again."""
        switch(self.folder, on=self._sure | self._trial)
        self._sure, self._trial = set(), set()


def suspects(folder: Folder, log: str, good: dict[str, str]) -> list[str]:
    """Which extensions may have kept the web UI from starting, the newest first.

    The one its last words name, else those that changed since it started last, else all.
    """
    off = switched_off(folder)
    there = [extension for extension in extensions_on_drive(folder) if extension.name not in off]
    tail = last_part(log)
    named = [extension.name for extension in there if f"extensions/{extension.name}/" in tail]
    if named:
        return [max(named, key=lambda name: tail.rfind(f"extensions/{name}/"))]
    new = [one for one in there if not one.commit or good.get(one.name) != one.commit] or there
    return [one.name for one in sorted(new, key=lambda one: one.drive_dir.stat().st_mtime, reverse=True)]
