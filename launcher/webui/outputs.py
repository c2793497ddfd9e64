"""Where A1111 writes images, by its own settings; whatever they name ends in what is kept on Drive.

Settings that came from another machine, another launcher or another folder on Drive name folders that nobody keeps.
A1111 takes a path relative to its code folder, does not know `~`, and makes every folder it lacks: nobody would notice.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from launcher.core.process import PACKAGE
from launcher.webui.settings_files import OUTPUT, read_settings, write_settings

OUTPUTS: Final = ("outputs", "output", "log")  # what people make; A1111's Save button writes to log/images
FETCHED: Final = "interrogate"  # lists of words that A1111 fetches into its own folder at first use
# Where there are passwords and programs: beside A1111's code, and in the system.
NOT_IMAGES: Final = ("session", "tools", "python", "history", "cache", "bytecode", "tmp")
SYSTEM: Final = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt", "/run", "/sbin", "/sys", "/usr", "/var")
SUBFOLDERS: Final = "directories_filename_pattern"  # may lead out of the folder it belongs to


class OutputFolders:
    """Before a start, settings that lead elsewhere are led into the data directory; while the web UI runs, `elsewhere`
    tells where they have come to lead, so that it is kept from there.
    """

    def __init__(self, code: Path, data: Path, drive_dir: Path, say: Callable[[str], None]) -> None:
        self.code, self.data, self.drive_dir, self.say = code, data, drive_dir, say
        self._elsewhere: dict[Path, str] = {}
        self._settings: dict[str, Any] | None = None  # as they were read last

    def prepare(self) -> None:
        """Before a start of the web UI."""
        here, there = self.code / FETCHED, self.data / FETCHED  # the latter from an earlier machine
        if not os.path.lexists(here) and there.is_dir():
            here.symlink_to(there)
        elif here.is_symlink() and not here.exists():
            here.unlink()  # A1111 renames a new folder to this name
        settings = read_settings(self.data) or {}
        self._settings = dict(settings)
        for name, folder in self._foreign(settings):
            self._settings.pop(name, None)
            kept_in = name_on_drive(folder)
            if name != SUBFOLDERS:
                self._settings[name] = str(self.data / kept_in)
            if name == SUBFOLDERS or not str(folder).endswith(f"/{kept_in}"):
                self.say(
                    f"The web UI's setting {name} led to {settings[name]}, which is not kept on Google Drive. Images "
                    f"are saved in {OUTPUTS[0]} in your folder instead."
                )
            all_data = Path(os.path.realpath(folder)).is_relative_to(self.data.parent)
            others = all_data and not folder.is_relative_to(self.data)  # another drive_folder's images
            if folder.is_dir() and not others and not self._is_private(folder):
                self._elsewhere[folder] = kept_in  # what was written there until now
        if self._settings != settings:
            write_settings(self.data, self._settings)

    def elsewhere(self) -> Mapping[Path, str]:
        """While it runs: the folders outside of the data directory that are to be kept, with their names on Drive."""
        settings = read_settings(self.data)
        if settings is not None and settings != self._settings:  # None: it is being written just now
            self._settings = settings
            for name, folder in self._foreign(settings):
                if self._is_private(folder):
                    self.say(
                        f"There are other things than images in {folder}, so nothing in it is kept on Google Drive. "
                        f"Choose another folder in the web UI's settings, under Paths for saving ({name})."
                    )
                    continue
                if not can_be_written(folder):
                    self.say(
                        f"The web UI cannot write to {settings[name]} (its setting {name}, under Paths for saving). "
                        "Choose another folder there."
                    )
                    continue
                self._elsewhere[folder] = kept_in = name_on_drive(folder)
                self.say(f"Images that the web UI writes to {folder} are kept on Google Drive in {kept_in}.")
        if (self.code / FETCHED).is_dir() and not (self.code / FETCHED).is_symlink():
            self._elsewhere[self.code / FETCHED] = FETCHED
        return self._elsewhere

    def _foreign(self, settings: dict[str, Any]) -> dict[tuple[str, Path], None]:
        """The settings that lead to folders that are not kept, each with its folder."""
        named = [
            (name, self.code / value)
            for name, value in settings.items()
            if name.startswith(OUTPUT) and isinstance(value, str) and value.strip()
        ]
        pattern = str(settings.get(SUBFOLDERS) or "")
        fixed = pattern.partition("[")[0]
        if fixed.startswith("/") or ".." in pattern.split("/"):
            folders = [self.data / OUTPUTS[0] / "images", *(folder for _, folder in named)]
            named += [(SUBFOLDERS, folder / (fixed.rpartition("/")[0] or "/")) for folder in folders]
        normal = [(name, Path(os.path.normpath(folder))) for name, folder in named]
        return dict.fromkeys((name, folder) for name, folder in normal if not self._is_kept(folder))

    def _is_kept(self, folder: Path) -> bool:
        """True for a folder on Drive that can be written to, and for one below those of the data directory."""
        real, data = Path(os.path.realpath(folder)), Path(os.path.realpath(self.data))
        if real.is_relative_to(data):
            return real.relative_to(data).parts[:1] in [(top,) for top in OUTPUTS]
        drive = next((above for above in self.drive_dir.parents if os.path.ismount(above)), Path("/"))
        if self.data.is_relative_to(drive):  # Drive is no mount of its own here
            above = (self.drive_dir.parent.parent, self.drive_dir.parent, self.drive_dir)
            drive = next(folder for folder in above if not self.data.is_relative_to(folder))
        return any(path.is_relative_to(drive) for path in (folder, real)) and can_be_written(folder)

    def _is_private(self, folder: Path) -> bool:
        """True for a folder in which there is more than images, wherever links lead: nothing of it may get onto Drive.

        That is A1111's own, those with passwords and programs of the launcher, of the person and of the system, those
        above them, and whatever is hidden.
        """
        real, machine = Path(os.path.realpath(folder)), Path(os.path.realpath(self.code.parent))
        closed = (*(machine / name for name in NOT_IMAGES), PACKAGE, *map(Path, SYSTEM))
        above = (*closed, machine / self.code.name, Path(os.path.realpath(self.data)), Path.home().resolve())
        inside = any(real.is_relative_to(place) for place in closed)
        hidden = any(part.startswith(".") for part in (*folder.parts, *real.parts))
        return inside or hidden or any(place.is_relative_to(real) for place in above)


def name_on_drive(folder: Path) -> str:
    """Where what is in a folder is kept: any/outputs/x → outputs/x, any/other → outputs/other."""
    starts = [number for number, part in enumerate(folder.parts) if part in OUTPUTS]
    return "/".join(folder.parts[starts[-1] :]) if starts else f"{OUTPUTS[0]}/{folder.name}"


def can_be_written(folder: Path) -> bool:
    """True if A1111 could make the folder and write there; nothing but the folder is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
