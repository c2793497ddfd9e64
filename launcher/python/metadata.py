"""What installers believe of the environment: corrected, so that an extension's does not undo what was chosen."""

import re
import shutil
from collections.abc import Container
from typing import Final

from launcher.core.folder import Folder, write_safely
from launcher.python.pins import ALSO_CALLED
from launcher.python.uv import installed_packages, plain_name, site_packages

# Package -> what it says it needs and does not get here. facexlib needs numba (64 MB with llvmlite) and filterpy for
# following a face through a video only, which nothing of A1111's does.
NOT_NEEDED: Final = {"torch": r"nvidia-|triton\b", "facexlib": r"numba\b|filterpy\b"}


def forget_half_installed(folder: Folder, borrowed: Container[str]) -> None:
    """Take away what says that packages are there which a killed installer left half: they are installed anew.

    uv puts a wheel's files in place one by one, and writes INSTALLER beside METADATA and RECORD at the end. Packages
    borrowed from the kernel are looked after by `borrow.lost`.
    """
    for info in site_packages(folder).glob("*.dist-info"):
        name = plain_name(info.name.removesuffix(".dist-info").rpartition("-")[0])
        whole = all((info / part).exists() for part in ("METADATA", "RECORD", "INSTALLER"))
        if not whole and name not in borrowed:
            shutil.rmtree(info)


def ask_for_less(folder: Folder) -> None:
    """Take out of what packages say they need what they do not need here: of torch's, CUDA's libraries and triton.

    pip and uv would replace a borrowed newer cuDNN by the one torch names, and fetch 1.2 GB, as soon as a package that
    needs torch (ultralytics, say) is installed. A new file takes the place of the old one, which uv's cache shares.
    """
    for name, needs in NOT_NEEDED.items():
        for metadata in site_packages(folder).glob(f"{name}-*.dist-info/METADATA"):
            lines = metadata.read_text().splitlines(keepends=True)
            kept = [line for line in lines if not re.match(f"Requires-Dist: ({needs})", line)]
            if kept != lines:
                write_safely(metadata, "".join(kept))


def stand_in_for_other_names(folder: Folder) -> None:
    """Empty distributions under the names by which others ask for what is there: opencv-python is its headless build
    here.
    """
    there = installed_packages(folder)
    for name, other in ALSO_CALLED.items():
        if name not in there or other in there:
            continue
        info = site_packages(folder) / f"{other.replace('-', '_')}-{there[name]}.dist-info"
        info.mkdir()
        note = f"Stands for {name}, which has the same modules. Made by the one-click launcher.\n"
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {other}\nVersion: {there[name]}\n\n{note}",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: oneclick\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "INSTALLER": "oneclick\n",
        }
        for file, text in files.items():
            write_safely(info / file, text)
        write_safely(info / "RECORD", "".join(f"{info.name}/{file},,\n" for file in (*files, "RECORD")))
