"""Models that lie elsewhere on Drive are shown in the web UI by links on the machine, without a second copy.

A1111 names a checkpoint by its place below models/Stable-diffusion, and all others by their files: so a file is linked
under the name that it has where it lies, and old images still name it. `models` in the data directory is one link to
Drive, which takes no links itself; where models lie elsewhere, it becomes a folder of links on the machine. What the
web UI writes into that is kept in `models` on Drive by the sync. (A1111's own flags for folders would not do: one
`--ckpt-dir` lists a LoRA beside it as a checkpoint, `--lora-dir` takes the place of the folder that is there, and
extensions download to where they lead.)
"""

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple

from launcher.core.folder import Folder, point, preparing
from launcher.core.problem import Problem
from launcher.drive.find import AT_A_TIME, Remembered, is_on_drive, is_weights, path_on_drive, webui_in, weights_below
from launcher.drive.records import Fingerprint, fingerprint_of
from launcher.models.identify import WEIGHTS, identify
from launcher.models.kinds import EXTENSION_KINDS, KIND_ENDINGS, KIND_FOLDERS

# The kinds that can be shown: an extension whose models lie in its own folder looks nowhere else.
SHOWN: Final = KIND_FOLDERS | {
    kind: owner.folder for kind, owner in EXTENSION_KINDS.items() if owner.folder.startswith("models/")
}
# What programs call the folder of a kind, in lower case: A1111, Forge and SD.Next, ComfyUI, Fooocus, kohya's scripts.
FOLDER_KINDS: Final = {Path(folder).name.lower(): kind for kind, folder in SHOWN.items()} | {
    **dict.fromkeys(("checkpoint", "checkpoints", "ckpt"), "checkpoint"),
    **dict.fromkeys(("loras", "lycoris"), "LoRA"),
    **dict.fromkeys(("embedding", "textual_inversion"), "embedding"),
    **dict.fromkeys(("upscale_models", "upscalers"), "upscaler"),
    "hypernetwork": "hypernetwork",
}
linking: Final = threading.Lock()  # what an older look has found must not take away what a newer one showed
Tree = dict[str, "Path | Tree"]  # name -> what it is to lead to, or a folder


class FoundModel(NamedTuple):
    """A model on Drive."""

    kind: str
    name: str  # by which A1111 is to know it: a path below the folder of its kind
    path: Path


# ---- which models there are


def find_models(drive: Path, place: Path, say: Callable[[str], object]) -> list[FoundModel]:
    """The models in a folder, told by the name of a folder they lie in, else by their content; or the one file.

    Of a web UI's folder only the models that A1111 lists are looked at.
    """

    def unlisted(error: OSError) -> None:
        if error.errno == errno.EIO:
            say(f"{Path(error.filename).relative_to(drive)} on your Drive cannot be listed and was left out.")

    webui = webui_in(place)
    tops = [webui / below for below in (*SHOWN.values(), "models/LyCORIS")] if webui else [place]
    files = [place] if place.is_file() else [path for top in tops for path in weights_below(top, unlisted)]
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return [one for one in pool.map(partial(model_at, drive, place, say), files) if one]


def model_at(drive: Path, place: Path, say: Callable[[str], object], path: Path) -> FoundModel | None:
    """What a file is; None for what A1111 cannot use, and for what a shortcut has outside of Drive."""
    above = [folder for folder in path.parents if folder.is_relative_to(drive)]
    named = next((folder for folder in above if folder.name.lower() in FOLDER_KINDS), None)
    of_folder = FOLDER_KINDS[named.name.lower()] if named else None
    try:
        if not is_on_drive(drive, path):
            return None
        kind = of_folder if of_folder and path != place else kind_by_content(path, fingerprint_of(path.stat()))
    except (OSError, Problem):  # Drive keeps it back for a day, for example
        say(f"{path.relative_to(drive)} on your Drive cannot be read and was left out.")
        return None
    if kind not in SHOWN or path.suffix.lower() not in KIND_ENDINGS.get(kind, WEIGHTS):
        return None
    root = named if named and kind == of_folder else place if path != place else path.parent
    return FoundModel(kind, str(path.relative_to(root)), path)


@lru_cache(maxsize=10_000)
def kind_by_content(path: Path, looks: Fingerprint) -> str | None:
    """By its content, which is read once as long as the file does not change: on Drive that takes long."""
    seen = identify(path)
    return None if seen.fault else seen.kind


# ---- showing them


def link_models(folder: Folder, say: Callable[[str], object]) -> list[FoundModel]:
    """Have the web UI list the models that lie elsewhere, and no longer those that do not; returns them."""
    with linking:
        found = [] if folder.models_kept else find_models(folder.drive, folder.kept, say)
        for name in Remembered.read(folder.kept).model_folders:
            if place := path_on_drive(folder.drive, name):
                found += find_models(folder.drive, place, say)
            else:
                say(
                    f"{name} is no longer on your Drive: its models are not in the web UI's lists. Give it its old "
                    "name and place again, or press **Forget my choices**."
                )
        links = (path for path in (folder.kept / "embeddings").glob("*") if path.is_symlink() and path.is_dir())
        shared: Tree = {path.name: path for path in links if is_on_drive(folder.drive, path)}
        tree: Tree = {"models": folder.models if folder.models_kept else {}, "embeddings": shared}
        listed = cache(os.listdir)
        for kind, name, path in found:  # with what goes with it by its name: previews, notes, VAEs
            beside = (one for one in listed(path.parent) if one.startswith(f"{path.stem}.") and not is_weights(one))
            for file in (path.name, *beside):
                add_link(tree, str(Path(SHOWN[kind], name).with_name(file)), path.with_name(file))
        with preparing:
            make_links(folder.data / "models" if folder.models_kept else folder.models, tree["models"], folder.drive)
            make_links(folder.data / "embeddings", tree["embeddings"], folder.drive)
        return found


def add_link(tree: Tree, name: str, path: Path) -> None:
    """Have a name lead there, unless it leads elsewhere; what a folder on the way led to is in it then."""
    *folders, last = name.split("/")
    for folder in folders:
        below = tree.setdefault(folder, {})
        if isinstance(below, Path):
            below = tree[folder] = links_to_all(below)
        tree = below
    tree.setdefault(last, path)


def links_to_all(folder: Path) -> Tree:
    return {name: folder / name for name in os.listdir(folder) if not name.startswith(".")}


def make_links(target: Path, what: "Path | Tree", drive: Path) -> None:
    """Make the links, and take away those to Drive that are not wanted any more. What the web UI wrote there stays."""
    if isinstance(what, Path):
        if target.is_symlink() or not target.exists():
            point(target, what)
        elif target.is_dir() and what.is_dir():
            make_links(target, links_to_all(what), drive)
        return
    if target.is_symlink():
        target.unlink()
    target.mkdir(parents=True, exist_ok=True)
    for path in [path for path in target.iterdir() if path.name not in what]:
        if path.is_symlink() and Path(os.readlink(path)).is_relative_to(drive):
            path.unlink()
        elif path.is_dir() and not path.is_symlink():
            make_links(path, {}, drive)
    for name, below in what.items():
        make_links(target / name, below, drive)


def link_new_models(folder: Folder) -> None:
    """Have what the launcher has put on Drive since, and has taken away, in a folder of links, too."""
    if folder.models_kept and not (folder.data / "models").is_symlink():
        link_models(folder, lambda text: None)  # it was said when they were linked first


# ---- which folders


def use_models(folder: Folder, path: Path, say: Callable[[str], object]) -> str:
    """Use the models in a folder on Drive, or one file, where they are; returns a sentence. Raises `Problem`."""
    name = str(path.relative_to(folder.drive))
    if path.is_relative_to(folder.kept) or webui_in(path) == folder.kept:
        return f"{name} is in the web UI's folder already"
    left_out = list[str]()
    found = find_models(folder.drive, path, left_out.append)
    for sentence in left_out:
        say(sentence)
    if left_out and not found:
        why = "Google Drive does that when it is busy, or when a folder has thousands of files."
        raise Problem(left_out[0], f"{why} Wait a minute, and add it again.")
    if not found:
        raise Problem(
            f"{name} on your Drive holds no models that AUTOMATIC1111 can use.",
            "Choose a file that ends in .safetensors or .ckpt, or a folder with such files.",
        )
    join_models(folder.kept, name)
    link_models(folder, say)
    counts = Counter(one.kind for one in found)
    kinds = " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.most_common())
    return f"{name}: {kinds}, used where they are, without a second copy"


def join_models(kept: Path, name: str, *, used: bool = True) -> None:
    """Note a path below My Drive as one whose models are used, or no longer."""
    with preparing:
        others = [one for one in Remembered.read(kept).model_folders if one != name]
        Remembered.write(kept, model_folders=[*others, name] if used else others)


def stop_using_models(folder: Folder, path: Path, say: Callable[[str], object]) -> None:
    """Take the models of a folder out of the web UI's lists; they stay on Drive."""
    join_models(folder.kept, str(path.relative_to(folder.drive)), used=False)
    link_models(folder, say)
