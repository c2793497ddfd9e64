"""Settings, styles, embeddings and the like come from Drive to a new machine."""

from collections.abc import Callable
from pathlib import Path

from launcher.core.folder import PART
from launcher.drive.copying import copy_whole, sweep_unfinished
from launcher.drive.kept import COMES_BACK, mark_of, small_kept_files
from launcher.drive.ledger import Ledger
from launcher.drive.troubles import is_drives_fault, printable


def restore(kept: Path, data: Path, ledger: Ledger, say: Callable[[str], None]) -> int:
    """Bring the small files; return how many came. Raises `OSError` if Drive is away.

    A file that is newer on the machine stays: it is on its way to Drive. One that cannot be read is named and left out.
    """
    sweep_unfinished(kept)
    count, unreadable = 0, []
    for name in small_kept_files(kept):
        source, target = kept / name, data / name
        try:
            info = source.stat()
            if info.st_size > COMES_BACK or (target.exists() and target.stat().st_mtime >= info.st_mtime - 1):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(source, target, target.with_name(f".{target.name[:60]}{PART}"))
        except OSError as error:
            if is_drives_fault(error, kept):
                raise
            unreadable.append(printable(name))
            continue
        ledger.remember(str(target), mark_of(target.stat()), name)
        count += 1
    if unreadable:
        say(f"These files on your Drive cannot be read and were skipped: {', '.join(unreadable)}.")
    return count
