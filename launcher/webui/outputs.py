"""Where A1111 writes images, by its own settings; whatever they name ends in what is kept on Drive.

Settings that came from another machine, another launcher or another folder on Drive name places that nobody keeps.
A1111 takes a path relative to its code folder, does not know `~`, and makes every folder it lacks, so nobody would notice.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from launcher.webui.own_settings import output_settings
from launcher.webui.settings_file import NAME, read_settings, write_settings

KEPT_TOPS: Final = ("outputs", "output", "log")  # the folders of the data directory that hold what people make
SUBFOLDERS: Final = "directories_filename_pattern"  # may lead out of the folder it belongs to


class OutputPlaces:
    """Leads output places into the data directory by links, or says under which name they are kept where they are."""

    def __init__(self, code: Path, data: Path, kept: Path, say: Callable[[str], None]) -> None:
        self.code, self.data, self.say = code, data, say
        self.kept = kept
        self._places: dict[Path, str] = {}
        self._read = -1
        self._said: set[str] = set()

    def prepare(self) -> None:
        """Before a start of the web UI: lead everything to its place, and take back settings that cannot work here."""
        settings = read_settings(self.data) or {}
        self._read = self._changed()
        unusable = self._redirect(settings, running=False)
        if unusable:
            write_settings(self.data, {name: value for name, value in settings.items() if name not in unusable})
            self._read = self._changed()

    def look(self) -> Mapping[Path, str]:
        """While it runs: the folders outside of the data directory that are to be kept, with their names on Drive."""
        changed = self._changed()
        if changed != self._read:
            settings = read_settings(self.data)
            if settings is not None:  # else it is being written just now
                self._read = changed
                self._redirect(settings, running=True)
        return self._places

    def _changed(self) -> int:
        try:
            return (self.data / NAME).stat().st_mtime_ns
        except OSError:
            return 0

    def _redirect(self, settings: dict[str, Any], running: bool) -> list[str]:
        """Take care of every place the settings name; returns the settings whose places cannot be written to."""
        unusable = []
        for name, place in self._named_places(settings):
            if self._is_kept(place):
                continue
            inside = relative_to(place, self.code)
            if inside and self._link(inside, running):
                continue
            if inside == () or place in self.code.parents or not can_be_written(place):
                self._tell_unusable(name, str(settings.get(name)), running)
                unusable.append(name)
                continue
            self._keep_where_it_is(place, inside)
        return unusable

    def _named_places(self, settings: dict[str, Any]) -> Iterator[tuple[str, Path]]:
        names = output_settings(self.code) or tuple(name for name in settings if name.startswith("outdir_"))
        subfolder = str(settings.get(SUBFOLDERS) or "").split("[")[0].rpartition("/")
        leaves = subfolder[1] and (subfolder[0].startswith("/") or ".." in subfolder[0].split("/") or not subfolder[0])
        for name in names:
            value = settings.get(name)
            folder = value if isinstance(value, str) and value.strip() else ""
            if folder:
                yield name, Path(os.path.normpath(self.code / folder))
            if leaves:
                below = self.code / folder if folder else self.data / "outputs" / "images"
                yield SUBFOLDERS, Path(os.path.normpath(below / (subfolder[0] or "/")))

    def _is_kept(self, place: Path) -> bool:
        """True for a place on Drive, and for one in a part of the data directory that is kept."""
        real, data = Path(os.path.realpath(place)), Path(os.path.realpath(self.data))
        inside = relative_to(real, data)
        if inside is not None:
            return bool(inside) and inside[0] in KEPT_TOPS
        if place in self._places:
            return True
        return any(
            relative_to(path, drive) is not None for path in (place, real) for drive in drives(self.kept, self.data)
        )

    def _link(self, inside: tuple[str, ...], running: bool) -> bool:
        """Lead a folder below A1111's code into the data directory; False if that cannot be."""
        aim = self.data.joinpath(*kept_name(inside))
        for depth in range(1, len(inside) + 1):
            here = self.code.joinpath(*inside[:depth])
            there = Path(*aim.parts[: len(aim.parts) - len(inside) + depth])
            if not os.path.lexists(here):
                there.mkdir(parents=True, exist_ok=True)
                here.symlink_to(there)
                return True
            if here.is_symlink() or not here.is_dir():
                return False
        if running or any(self.code.joinpath(*inside).rglob("*.py")):
            return False  # A1111 may be writing there, or it is a folder of its own
        move_into(self.code.joinpath(*inside), aim)
        self.code.joinpath(*inside).symlink_to(aim)
        return True

    def _keep_where_it_is(self, place: Path, inside: tuple[str, ...] | None) -> None:
        parts = place.parts[1:]
        starts = [at for at, part in enumerate(parts[:-1]) if part in KEPT_TOPS]
        short = "/".join(parts[starts[-1] :]) if starts else ""
        long = "/".join(("outputs", *parts))
        name = "/".join(kept_name(inside)) if inside else short
        self._places[place] = name if name and name not in self._places.values() else long
        if not inside:
            self._tell(f"Images that the web UI writes to {place} are kept on Google Drive in {self._places[place]}.")

    def _tell_unusable(self, name: str, value: str, running: bool) -> None:
        what = f"The web UI cannot write to {value} (its setting {name}, under Paths for saving)."
        self._tell(f"{what} {'Choose another folder there.' if running else 'Its usual folder is used instead.'}")

    def _tell(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.say(text)


def relative_to(place: Path, folder: Path) -> tuple[str, ...] | None:
    """The parts of the path from `folder` to `place`, or None if it does not lie below it."""
    return place.relative_to(folder).parts if place.is_relative_to(folder) else None


def drives(kept: Path, data: Path) -> tuple[Path, ...]:
    """What counts as Drive: the folder that holds the person's folder, and the mount around it (shared drives)."""
    mount = next((folder for folder in kept.parents if os.path.ismount(folder)), kept.parent)
    return (kept.parent.parent, *(() if data.is_relative_to(mount) else (mount,)))


def kept_name(inside: tuple[str, ...]) -> tuple[str, ...]:
    """Where a folder below A1111's code belongs in the data directory: what people make lies in few folders there."""
    return inside if inside[0] in KEPT_TOPS else ("outputs", *inside)


def can_be_written(place: Path) -> bool:
    """True if A1111 could make the folder and write there; nothing but the folder is left behind."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def move_into(folder: Path, aim: Path) -> None:
    """Move all files of a folder into another one, replacing none, and take the empty folder away."""
    for where, _, names in os.walk(folder):
        target = aim / os.path.relpath(where, folder)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            new, number = target / name, 2
            while os.path.lexists(new):
                stem, ending = os.path.splitext(name)
                new, number = target / f"{stem} ({number}){ending}", number + 1
            os.replace(Path(where, name), new)
    for where, _, _ in os.walk(folder, topdown=False):
        os.rmdir(where)
