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
        self.disabled: list[str] = []  # switched off now because of it
        self._sure: list[str] = []
        self._trials: Iterator[list[str]] | None = None

    def disable_next(self, log: str) -> bool:
        """After a start that failed with this log: switch off the next to try. False if nothing is left to try."""
        switch(self.folder, on={*self.disabled} - {*self._sure})
        found = suspects(self.folder, log, self.good)
        if len(found) == 1:
            self._sure += found
            trial = []
        else:
            self._trials = self._trials or iter([*([name] for name in found[:MOST_TRIALS]), found])
            trial = next(self._trials, [])
        self.disabled = sorted({*self._sure, *trial})
        switch(self.folder, off=self.disabled)
        return len(found) == 1 or bool(trial)

    def restore(self) -> None:
        """It was none of them: switch them on again."""
        switch(self.folder, on=self.disabled)
        self.disabled, self._sure = [], []


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
