"""What a person's Drive already has: web UIs of this and of other launchers, what their launches noted, and models."""

import errno
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from launcher.core.folder import CHECKPOINT, MY_DRIVE, WEBUI_FOLDER, write_safely
from launcher.core.outside import Damaged, is_below, read_json, read_note
from launcher.models.identify import WEIGHTS

NOTES: Final = "oneclick.json"  # in a web UI's folder: what its launches note for those after them
changing: Final = threading.Lock()  # launches and jobs change parts of it, each from a thread of its own
CHECKPOINTS: Final = Path("models", "Stable-diffusion")  # every web UI has it, and hardly anything else
BUSY: Final = 2.0  # seconds after which Drive is asked again
AT_A_TIME: Final = 16  # questions to Drive, each of which takes long
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
    """What is in My Drive itself; nothing where Drive does not list it.

    A large one may fail with Errno 5 at first: what Google's program has got by then helps the next try
    (research.google.com/colaboratory/faq.html#drive-timeout).
    """
    for pause in (0.0, BUSY, BUSY):
        time.sleep(pause)
        with suppress(OSError):
            return [drive / name for name in sorted(os.listdir(drive)) if not name.startswith(".")]
    return []


def can_be_listed(folder: Path) -> bool:
    with suppress(OSError):
        os.listdir(folder)
        return True
    return False


def names_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(folder))
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
    with suppress(OSError):
        places = (folder / WEBUI_FOLDER, folder)
        return next((one for one in places if (one / CHECKPOINTS).is_dir() or (one / NOTES).is_file()), None)
    return None


def used_at(kept: Path) -> float:
    """When the web UI with this folder was used last: time.time(), 0.0 where nobody noted it."""
    with suppress(OSError):
        try:
            return float(of_type(0.0, (read_json(kept / NOTES) or {}).get("used_at")))
        except Damaged:  # it was written when the web UI was used
            return (kept / NOTES).stat().st_mtime
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
    models = path.is_file() or any(re.search(CHECKPOINT, found.name) for found in weights_below(path))  # .pt: anything
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


@dataclass(frozen=True)
class Remembered:
    """What launches noted, of the types that stand here: whatever else the file holds is nobody's, and stays in it."""

    choices: dict[str, Any] = field(default_factory=dict)  # field -> value; never a pasted link, never a token
    used_at: float = 0.0  # time.time() of the last launch with this folder
    extensions: dict[str, str] = field(default_factory=dict)  # with which it started: name -> commit
    switched_off: tuple[str, ...] = ()  # extensions that were off then
    looked_at: tuple[str, ...] = ()  # models that were found sound
    folder: str = ""  # only in My Drive itself: the web UI's folder used last, where no look finds it
    model_folders: tuple[str, ...] = ()  # folders and files below My Drive whose models are used where they are

    @classmethod
    def read(cls, kept: Path, say: Callable[[str], object] = lambda text: None) -> "Remembered":
        """What there is, perhaps nothing; a damaged file is set aside, and said. Raises `OSError` if Drive is away."""
        found, usual = read_note(kept / NOTES, say) or {}, cls()
        return cls(**{one.name: of_type(getattr(usual, one.name), found.get(one.name)) for one in fields(cls)})

    @staticmethod
    def write(kept: Path, **changes: Any) -> None:
        """Change some of it. Raises `OSError`."""
        with changing:
            found = read_note(kept / NOTES, lambda text: None) or {}
            text = json.dumps(found | changes, ensure_ascii=False)
            write_safely(kept / NOTES, text.encode(errors="replace"))  # names may hold bytes that are no letters


def of_type(usual: Any, found: object) -> Any:
    """What was found where it is of the type of the usual value, which else takes its place."""
    if isinstance(usual, tuple):
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else usual
    kinds = (int, float) if isinstance(usual, float) else type(usual)  # other programs write 5.0 as 5
    return found if isinstance(found, kinds) and not isinstance(found, bool) else usual
