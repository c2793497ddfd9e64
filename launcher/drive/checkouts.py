"""Extensions in the data directory that are git checkouts: git keeps their history, the sync what differs."""

from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.drive.names import EXTENSIONS, Fingerprint, fingerprint_of
from launcher.source.git import PLACED_MARK, unchanged_files


class Checkouts:
    """Tells which files git has already, and which extensions are left alone for now."""

    def __init__(self, data: Path, drive_dir: Path, say: Callable[[str], None]) -> None:
        self.data, self.drive_dir, self.say = data, drive_dir, say
        self._read: dict[Path, int] = {}  # checkout -> when its index was changed last
        self._broken: set[Path] = set()

    def unchanged(self) -> Iterator[tuple[str, Fingerprint, str]]:
        """The files that are as git has them, of each checkout that has changed: (path, fingerprint, name on Drive)."""
        for index in self.data.glob(f"{EXTENSIONS}/*/.git/index"):
            checkout, changed = index.parent.parent, index.stat().st_mtime_ns
            if self._read.get(checkout) == changed:
                continue
            self._read[checkout] = changed
            try:
                found = list(self._unchanged_in(checkout))
                self._broken.discard(checkout)
            except Exception as error:  # whatever one extension's repository is, the others and all images are kept
                self._broken.add(checkout)
                self.say(
                    f"Changes in the extension {checkout.name} are not kept: "
                    f"its git repository cannot be read ({type(error).__name__})."
                )
                continue
            yield from found

    def left_alone(self, path: str) -> bool:
        """True for a file of an extension whose repository is broken, or whose folder somebody took away on Drive."""
        parts = Path(path).relative_to(self.data).parts if path.startswith(f"{self.data}/") else ()
        if len(parts) < 3 or parts[0] != EXTENSIONS:
            return False
        checkout = self.data / EXTENSIONS / parts[1]
        if checkout in self._broken:
            return True
        return (checkout / ".git" / PLACED_MARK).exists() and not (self.drive_dir / EXTENSIONS / parts[1]).exists()

    def _unchanged_in(self, checkout: Path) -> Iterator[tuple[str, Fingerprint, str]]:
        for inside in unchanged_files(checkout):
            path = checkout / inside
            try:
                yield str(path), fingerprint_of(path.lstat()), f"{EXTENSIONS}/{checkout.name}/{inside}"
            except (FileNotFoundError, NotADirectoryError):
                continue
