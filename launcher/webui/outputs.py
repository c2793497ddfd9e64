"""Where A1111 writes images, by its own settings; whatever they name ends in what is kept on Drive.

Settings that came from another machine, another launcher or another folder on Drive name folders that nobody keeps.
A1111 takes a path relative to its code folder, does not know `~`, and makes every folder it lacks: nobody would notice.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import Folder, can_be_written
from launcher.core.process import PACKAGE
from launcher.webui.settings_files import OUTPUT, can_be_path, read_settings, write_settings

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

    def __init__(self, folder: Folder, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self._elsewhere: dict[Path, str] = {}
        self._settings: dict[str, Any] | None = None  # as they were read last

    def prepare(self) -> None:
        """Before a start of the web UI."""
        data, lists = self.folder.data, self.folder.code / FETCHED
        if not os.path.lexists(lists) and (data / FETCHED).is_dir():  # from an earlier machine
            lists.symlink_to(data / FETCHED)
        elif lists.is_symlink() and not lists.exists():
            lists.unlink()  # A1111 renames a new folder to this name
        settings = read_settings(data) or {}
        self._settings = dict(settings)
        for name, place in self._foreign(settings):
            self._settings.pop(name, None)
            kept_in = name_on_drive(place)
            if name != SUBFOLDERS:
                self._settings[name] = str(data / kept_in)
            if name == SUBFOLDERS or not str(place).endswith(f"/{kept_in}"):
                self.say(
                    f"The web UI's setting {name} led to {settings[name]}, which is not kept on Google Drive. Images "
                    f"are saved in {OUTPUTS[0]} in your folder instead."
                )
            anothers = real(place).is_relative_to(data.parent) and not place.is_relative_to(data)  # drive_folder
            if place.is_dir() and not anothers and not self._is_private(place):
                self._elsewhere[place] = kept_in  # what was written there until now
        if self._settings != settings:
            write_settings(data, self._settings)

    def elsewhere(self) -> Mapping[Path, str]:
        """While it runs: the folders outside of the data directory that are to be kept, with their names on Drive."""
        settings, lists = read_settings(self.folder.data), self.folder.code / FETCHED
        if settings is not None and settings != self._settings:  # None: it is being written just now
            self._settings = settings
            for name, place in self._foreign(settings):
                if self._is_private(place):
                    self.say(
                        f"There are other things than images in {place}, so nothing in it is kept on Google Drive. "
                        f"Choose another folder in the web UI's settings, under Paths for saving ({name})."
                    )
                elif not can_be_written(place):
                    where = f"{settings[name]} (its setting {name}, under Paths for saving)"
                    self.say(f"The web UI cannot write to {where}. Choose another folder there.")
                else:
                    self._elsewhere[place] = kept_in = name_on_drive(place)
                    self.say(f"Images that the web UI writes to {place} are kept in {kept_in} in your folder.")
        if lists.is_dir() and not lists.is_symlink():
            self._elsewhere[lists] = FETCHED
        return self._elsewhere

    def _foreign(self, settings: dict[str, Any]) -> dict[tuple[str, Path], None]:
        """The settings that lead to folders that are not kept, each with its folder."""
        named = [
            (name, self.folder.code / value)
            for name, value in settings.items()
            if name.startswith(OUTPUT) and isinstance(value, str) and value.strip() and can_be_path(value)
        ]
        pattern = str(settings.get(SUBFOLDERS) or "")
        fixed = pattern.partition("[")[0]
        if can_be_path(pattern) and (fixed.startswith("/") or ".." in pattern.split("/")):
            places = [self.folder.data / OUTPUTS[0] / "images", *(place for _, place in named)]
            named += [(SUBFOLDERS, place / (fixed.rpartition("/")[0] or "/")) for place in places]
        normal = [(name, Path(os.path.normpath(place))) for name, place in named]
        return dict.fromkeys((name, place) for name, place in normal if not self._is_kept(place))

    def _is_kept(self, place: Path) -> bool:
        """True for a folder on Drive that can be written to, and for one below those of the data directory."""
        data, drive = real(self.folder.data), self.folder.drive
        if real(place).is_relative_to(data):
            return real(place).relative_to(data).parts[:1] in [(top,) for top in OUTPUTS]
        if os.path.ismount(drive.parent) and not data.is_relative_to(drive.parent):
            drive = drive.parent  # shared drives are beside My Drive
        if not any(path.is_relative_to(drive) for path in (place, real(place))):
            return False
        return not os.path.isdir(self.folder.drive) or can_be_written(place)  # nothing is made in the place of a Drive

    def _is_private(self, place: Path) -> bool:
        """True for a folder in which there is more than images, wherever links lead: nothing of it may get onto Drive.

        That is A1111's own, those with passwords and programs of the launcher, of the person and of the system, those
        above them, and whatever is hidden.
        """
        machine, code = real(self.folder.machine), self.folder.code.name
        closed = (*(machine / name for name in NOT_IMAGES), PACKAGE, *map(Path, SYSTEM))
        above = (*closed, machine / code, real(self.folder.data), real(Path.home()))
        inside = any(real(place).is_relative_to(one) for one in closed)
        hidden = any(part.startswith(".") for part in (*place.parts, *real(place).parts))
        return inside or hidden or any(one.is_relative_to(real(place)) for one in above)


def real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def name_on_drive(folder: Path) -> str:
    """Where what is in a folder is kept: any/outputs/x → outputs/x, any/other → outputs/other."""
    starts = [number for number, part in enumerate(folder.parts) if part in OUTPUTS]
    return "/".join(folder.parts[starts[-1] :]) if starts else f"{OUTPUTS[0]}/{folder.name}"
