"""What the system tells of changed files, so that nobody has to look through all of them."""

import threading
from collections.abc import Collection
from typing import Final

try:
    from watchfiles._rust_notify import RustNotify
except ImportError:  # Colab's image has it; elsewhere everything is looked through now and then
    RustNotify = None  # type: ignore[assignment, misc]

STEP: Final = 400  # milliseconds between two looks at what the system told
GATHER: Final = 1200  # milliseconds at most in which changes are gathered before they are told


class Changes:
    """Follows folders with all that is below them. `follows` is empty where the system cannot tell."""

    def __init__(self) -> None:
        self.follows: frozenset[str] = frozenset()
        self._notify: RustNotify | None = None
        self._gave_up = RustNotify is None

    @property
    def works(self) -> bool:
        """True while changes are told."""
        return self._notify is not None

    def follow(self, folders: Collection[str]) -> set[str]:
        """Follow just these folders from now on; returns those that are new: nobody told what happened there before."""
        wanted = frozenset(folders)
        if wanted == self.follows or self._gave_up:
            return set()
        before, new = self._notify, set(wanted - self.follows)
        try:
            self._notify = RustNotify(sorted(wanted), False, False, 0, True, True) if wanted else None
            self.follows = wanted
        except FileNotFoundError:  # a folder was deleted just now; the next call has a fresh list
            return set()
        except OSError:  # the system follows only so many folders (fs.inotify.max_user_watches)
            self._gave_up, self._notify, self.follows = True, None, frozenset()
            new = set()
        if before is not None:
            new |= told_by(before, 0, 1, threading.Event())  # what it was told since it was asked last
            before.close()
        return new

    def wait(self, seconds: float, stop: threading.Event) -> set[str]:
        """Wait until something changes, at most so long; returns the paths that changed, also of what is gone."""
        if self._notify is None:
            stop.wait(seconds)
            return set()
        return told_by(self._notify, GATHER, int(seconds * 1000), stop)

    def close(self) -> None:
        """Follow nothing any more."""
        if self._notify is not None:
            self._notify.close()
        self._notify, self.follows = None, frozenset()


def told_by(notify: "RustNotify", gather: int, wait: int, stop: threading.Event) -> set[str]:
    """The paths that changed: those of `gather` milliseconds from the first on, for which it waits so long at most."""
    told = notify.watch(gather, min(gather, STEP), wait, stop)
    return {path for _, path in told} if isinstance(told, set) else set()
