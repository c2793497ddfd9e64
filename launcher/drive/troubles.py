"""What a file system's errors mean for what is kept on Drive."""

import errno
import os
from pathlib import Path
from typing import Final

# What says something of all of Drive, not of one file -> how it ends "Google Drive is not accepting files: ...".
TROUBLES: Final = {
    errno.ENOSPC: "it is full",
    errno.EDQUOT: "it is full",
    errno.ENOTCONN: "it was disconnected",
    errno.ENOENT: "it was disconnected",  # unmounted: its folder is not there at all
    errno.ENODEV: "it was disconnected",
    errno.ECONNABORTED: "it was disconnected",
    errno.EROFS: "it is read-only",
    errno.EIO: "it reports errors",
}
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def is_drives_fault(error: Exception, drive_dir: Path) -> bool:
    """True if an error concerns all of Drive, not just one file. For some only a look at the folder on it can tell."""
    if not isinstance(error, OSError) or error.errno not in TROUBLES:
        return False
    if error.errno not in (errno.EIO, errno.ENOENT):
        return True
    try:
        drive_dir.stat()
        return False
    except OSError:
        return True


def reason_of(error: Exception) -> str:
    """An error in a few words."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
