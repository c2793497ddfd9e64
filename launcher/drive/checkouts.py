"""Extensions in the data directory that are git checkouts: git keeps their history, the sync what differs."""

from collections.abc import Callable, Iterator
from contextlib import suppress
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
                names = unchanged_files(checkout)
                self._broken.discard(checkout)
            except Exception as error:  # whatever one extension's repository is, the others and all images are kept
                self._broken.add(checkout)
                self.say(
                    f"Changes in the extension {checkout.name} are not kept: "
                    f"its git repository cannot be read ({type(error).__name__})."
                )
                continue
            for name in names:
                with suppress(FileNotFoundError, NotADirectoryError):  # deleted meanwhile
                    now = fingerprint_of((checkout / name).lstat())
                    yield str(checkout / name), now, f"{EXTENSIONS}/{checkout.name}/{name}"

    def left_alone(self, path: str) -> bool:
        """True for a file of an extension whose repository is broken, or whose folder somebody took away on Drive."""
        below = f"{self.data / EXTENSIONS}/"
        name, _, inside = path.removeprefix(below).partition("/")
        if not path.startswith(below) or not inside:
            return False
        checkout = self.data / EXTENSIONS / name
        if checkout in self._broken:
            return True
        return (checkout / ".git" / PLACED_MARK).exists() and not (self.drive_dir / EXTENSIONS / name).exists()
