"""What a person's Drive already has: web UIs of this and of other launchers, and models."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from launcher.core.folder import MY_DRIVE, WEBUI_FOLDER
from launcher.core.outside import Damaged, is_below, read_json
from launcher.drive.remembered import NOTES, of_type
from launcher.models.identify import WEIGHTS

CHECKPOINTS: Final = Path("models", "Stable-diffusion")  # every web UI has it, and hardly anything else
AT_A_TIME: Final = 16  # questions to Drive, each of which takes long
CERTAIN: Final = (".safetensors", ".ckpt")  # .bin and .pt may be anything
DEEPEST_MODEL: Final = 6  # folders below the one that is named
MOST_FOLDERS: Final = 2000  # that are looked through: somebody may name a folder with all of their photos
VAE_BESIDE: Final = re.compile(r"(?i)\.vae\.\w+$")  # weights that go with a checkpoint by their name
# What people write in front of a path on My Drive: as Colab shows it, as code has it, as Windows does.
IN_FRONT: Final = re.compile(rf"(?i)(.*/)?{MY_DRIVE}(/|$)|/*")


def webui_folders(drive: Path) -> tuple[Path, ...]:
    """The folders of web UIs that one look at the top of My Drive finds, if Drive lists it, the one used last first."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        found = [folder for folder in pool.map(webui_in, at_top(drive)) if folder]
        times = list(pool.map(used_at, found))
    return tuple(folder for _, folder in sorted(zip(times, found, strict=True), key=lambda pair: -pair[0]))


def at_top(drive: Path) -> list[Path]:
    """What is in My Drive itself; nothing where Drive does not list it."""
    return [drive / name for name in names_in(drive) if not name.startswith(".")]


def names_in(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def models_elsewhere(drive: Path, kept: Path) -> list[str]:
    """Where one look at the top of My Drive finds models, other than in `kept`: names that `path_on_drive` knows."""
    below = ("", "models", CHECKPOINTS, WEBUI_FOLDER / CHECKPOINTS)
    places = [folder / one for folder in at_top(drive) for one in below]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        looked = zip(places, pool.map(names_in, places), strict=True)
        found = [place for place, names in looked if any(name.lower().endswith(WEIGHTS) for name in names)]
    others = [str(place.relative_to(drive)) for place in found if not place.is_relative_to(kept)]
    return list(dict.fromkeys(re.sub(f"(/{WEBUI_FOLDER})?/{CHECKPOINTS}$", "", name) for name in others))


def webui_in(folder: Path) -> Path | None:
    """The folder of the web UI that lies directly in this one, or in the usual one in it; None if Drive lists none."""
    try:
        places = (folder / WEBUI_FOLDER, folder)
        return next((one for one in places if (one / CHECKPOINTS).is_dir() or (one / NOTES).is_file()), None)
    except OSError:
        return None


def used_at(kept: Path) -> float:
    """When the web UI with this folder was used last: time.time(), 0.0 where nobody noted it."""
    try:
        return float(of_type(0.0, (read_json(kept / NOTES) or {}).get("used_at")))
    except (Damaged, OSError):
        return 0.0


def path_on_drive(drive: Path, text: str) -> Path | None:
    """The file or folder of My Drive that a person means, if it is there. Raises `OSError` where Drive is away."""
    named = text.strip().strip("\"'`“”").replace("\\", "/").removeprefix(f"{drive}/")
    below = IN_FRONT.sub("", named, count=1).strip("/")
    path, there = drive / below, False
    try:
        there = bool(below) and ".." not in path.parts and path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:  # a sentence, not a path
            raise
    return path if there and is_on_drive(drive, path) else None


def is_on_drive(drive: Path, path: Path) -> bool:
    """False for a shortcut that leads off Google Drive. Shared drives are beside My Drive."""
    return is_below(path, drive.parent if drive.name == "MyDrive" else drive)


def kept_folder(drive: Path, name: str) -> Path | None:
    """Where the web UI is kept for the `drive_folder` that a person wrote: a name or a path below My Drive.

    A web UI that lies directly in it gets no second one inside. None where there are only models: they are used where
    they are, and the web UI is kept elsewhere.
    """
    path = path_on_drive(drive, name) or drive / name
    if webui := webui_in(path):
        return webui
    models = path.is_file() or any(found.suffix.lower() in CERTAIN for found in weights_below(path))
    return None if models else path / WEBUI_FOLDER


def weights_below(top: Path, unlisted: Callable[[OSError], object] = lambda error: None) -> Iterator[Path]:
    """The files in a folder, or a few folders below it, that may be models by their names."""
    left = MOST_FOLDERS
    for where, folders, names in os.walk(top, onerror=unlisted, followlinks=True):
        left -= 1
        near = left > 0 and len(Path(where).relative_to(top).parts) < DEEPEST_MODEL
        folders[:] = sorted(name for name in folders if near and not name.startswith("."))
        yield from (Path(where, name) for name in sorted(names) if is_weights(name))


def is_weights(name: str) -> bool:
    return name.lower().endswith(WEIGHTS) and not name.startswith(".") and not VAE_BESIDE.search(name)
