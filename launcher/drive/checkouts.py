"""Extensions in the data directory that are git checkouts: git keeps their history, the mirror what differs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.drive.kept import EXTENSIONS, Mark, mark_of
from launcher.source.git import PLACED_MARK, unchanged_files


class Checkouts:
    """Tells which files git has already, and which extensions are left alone for now."""

    def __init__(self, data: Path, kept: Path, say: Callable[[str], None]) -> None:
        self.data, self.kept, self.say = data, kept, say
        self._read: dict[str, int] = {}  # checkout -> when its index was changed last
        self._broken: set[str] = set()

    def accept(self) -> Iterator[tuple[str, Mark, str]]:
        """The files that are as git has them, of each checkout that has changed: (path, mark, name on Drive)."""
        for index in self.data.glob(f"{EXTENSIONS}/*/.git/index"):
            checkout = index.parent.parent
            try:
                changed = index.stat().st_mtime_ns
                if self._read.get(str(checkout)) == changed:
                    continue
                self._read[str(checkout)] = changed
                found = list(self._accepted(checkout))
            except Exception as error:  # whatever one extension's repository is, the others and all images are kept
                if str(checkout) not in self._broken:
                    self._broken.add(str(checkout))
                    self.say(
                        f"Changes in the extension {checkout.name} are not kept: "
                        f"its git repository cannot be read ({type(error).__name__})."
                    )
                continue
            self._broken.discard(str(checkout))
            yield from found

    def left_alone(self, path: str) -> bool:
        """True for a file of an extension whose repository is broken, or whose folder somebody took away on Drive."""
        parts = Path(path).relative_to(self.data).parts if path.startswith(f"{self.data}/") else ()
        if len(parts) < 3 or parts[0] != EXTENSIONS:
            return False
        checkout = self.data / EXTENSIONS / parts[1]
        if str(checkout) in self._broken:
            return True
        return (checkout / ".git" / PLACED_MARK).exists() and not (self.kept / EXTENSIONS / parts[1]).exists()

    def _accepted(self, checkout: Path) -> Iterator[tuple[str, Mark, str]]:
        for inside in unchanged_files(checkout):
            path = checkout / inside
            try:
                yield str(path), mark_of(path.lstat()), f"{EXTENSIONS}/{checkout.name}/{inside}"
            except (FileNotFoundError, NotADirectoryError):
                continue
