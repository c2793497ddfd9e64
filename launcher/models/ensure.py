"""Making sure that the models that are wanted are in their folder: there already, of the catalog, or behind a link."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from glob import escape
from pathlib import Path
from typing import Final

from launcher.core.folder import PART, Folder, copy_whole, files_below, leads_nowhere
from launcher.core.problem import Problem
from launcher.models import fetch
from launcher.models.catalog import CHECKPOINTS_FOLDER, HubFile, Model, model_named
from launcher.models.companions import have_companions
from launcher.models.download import promised
from launcher.models.http import read_range, until_stopped
from launcher.models.identify import OLD_ENDINGS, WEIGHTS, fault_of, identify, identify_beginning
from launcher.models.kinds import Format, ModelFile, a_kind
from launcher.models.pasted import one_link, safe_name
from launcher.models.places import place_for, same_to_the_web_ui, telling_name
from launcher.models.remote import Remote
from launcher.models.sources import resolve_link
from launcher.models.sources.direct import name_in
from launcher.models.sources.hugging_face import resolve_hub_file

HALF_DOWNLOADS: Final = (PART, ".crdownload", ".aria2", ".download", ".partial", ".incomplete")
# What A1111 fills with zeros where a checkpoint has none (modules/sd_disable_initialization.py).
VAES: Final = {"SD 1": "VAE ft-MSE", "SD 2": "VAE ft-MSE", "SDXL": "SDXL VAE fp16-fix"}
READERS: Final = 16  # parts of a file read side by side
READ_AHEAD: Final = 16 << 20  # bytes of a part
ASKED_OF_DRIVE: Final = 2 << 20  # bytes


def ensure_checkpoint(fetcher: fetch.Fetcher, wanted: str, default: str) -> str:
    """Make sure a checkpoint is there; return its file name below models/Stable-diffusion.

    With the default untouched, any checkpoint there that A1111 can load will do and nothing is downloaded; a name or
    link chosen on purpose is fetched if it is missing.
    """
    model = model_named(wanted)
    if wanted == default:
        usual = {source.saved_name for source in model.sources} if model else set[str]()
        if chosen := usable_checkpoint(fetcher.folder, usual, fetcher.step.notice):
            fetcher.step.say(f"{chosen.name} is ready")
            have_companions(fetcher, chosen)
            return chosen.name
    if model:
        return ensure_model(fetcher, model)
    return ensure_linked_model(fetcher, wanted, "checkpoint", required=True)


def ensure_model(fetcher: fetch.Fetcher, model: Model) -> str:
    """Fetch a model of the catalog from its first source that has it; return its file name."""
    for source in model.sources:
        path = place_in_catalog(fetcher.folder, model, source)
        if fetch.sound_or_set_aside(fetcher, path, source.size, source.sha256):
            fetcher.step.say(f"{path.name} is ready")
            return with_companions(fetcher, model, path)
    if "non-commercial" in model.licence:
        terms = f"read {model.sources[0].page} before you use it commercially."
        fetcher.step.notice(f"{model.name} is licensed under {model.licence}: {terms}")
    failures: list[Problem] = []
    for source in model.sources:
        try:
            fetcher.step.say(f"asking {source.repo}")
            remote = fetch.with_token(fetcher, partial(resolve_hub_file, source))
            path = fetch.fetch_remote(fetcher, remote, fetcher.folder.models / model.folder)
            return with_companions(fetcher, model, path)
        except Problem as problem:
            failures.append(problem)
            if source is not model.sources[-1]:
                fetcher.step.notice(f"{problem.what} The next source is tried.")
    raise failures[0]


def place_in_catalog(folder: Folder, model: Model, source: HubFile) -> Path:
    """Where a file of the catalog belongs, or lies already: A1111 also shows models from elsewhere on Drive."""
    own = folder.models / model.folder / source.saved_name
    shown = folder.data / "models" / model.folder
    for path in files_below(shown, followlinks=True) if not own.exists() else ():
        if path.name == own.name and path.exists() and path.stat().st_size == source.size:
            return path
    return own


def ensure_linked_model(
    fetcher: fetch.Fetcher, link: str, kind: str = "", name: str = "", *, required: bool = False
) -> str:
    """Fetch what a pasted link leads to; return its file name. Uses what is there if its source does not answer.

    The names of its tensors tell what it is, else its source does, else `kind` ("checkpoint", "LoRA" …), which another
    kind is refused for only if it is `required`. `name` is the file name to give it, with or without its ending.
    """
    step = fetcher.step
    step.say("checking the link")
    try:
        found = fetch.with_token(fetcher, partial(resolve_link, link))
    except Problem as problem:
        with suppress(Problem):  # no name in the link
            there = place_for(fetcher.folder, kind or "checkpoint") / safe_name(name_in(one_link(link)))
            if there.exists() and not fault_of(there):
                step.notice(f"{problem.what} The file is already there and is used as it is.")
                return there.name
        raise
    asked = replace(found, name=chosen_name(telling_name(found.name, found.title), name))
    same = place_for(fetcher.folder, found.kind or kind or "checkpoint") / asked.name
    if found.sha256 and same.exists() and not fault_of(same) and fetch.same_as_remote(fetcher, same, asked):
        step.say(f"{same.name} is ready")
        fetcher.used.append(same)
        if place_for(fetcher.folder, "checkpoint") in same.parents:
            have_vae(fetcher, identify(same), same)
        return same.name
    remote = decided(fetcher, asked, kind, required)
    path = file_of_kind(fetcher, remote, required)
    if place_for(fetcher.folder, "checkpoint") in path.parents:
        have_vae(fetcher, have_companions(fetcher, path, remote), path)
    return path.name


def file_of_kind(fetcher: fetch.Fetcher, remote: Remote, required: bool) -> Path:
    """The file in the folder of its kind: one that is there, or fetched under a name that the web UI lists.

    One whose kind nobody can tell yet is fetched beside the checkpoints.
    """
    step, folder, own = fetcher.step, place_for(fetcher.folder, remote.kind or "checkpoint"), Path(remote.name)
    names = (own.name, f"{own.stem}-{remote.tag[:8]}{own.suffix}")  # always the second for the same file
    for name in names if remote.kind else ():
        target = same_to_the_web_ui(fetcher.folder, name, remote.kind) or folder / name
        if not fetch.sound_or_set_aside(fetcher, target):
            return fetch.fetch_remote(fetcher, replace(remote, name=name), folder, free=not required)
        if until_stopped(step.stop, partial(fetch.same_as_remote, fetcher, target, remote)):
            step.say(f"{target.name} is ready")
            return target
        where = target.relative_to(folder).as_posix() if folder in target.parents else target.name
        step.notice(f"There is already another file called {where}; it was left as it is.")
    return fetch.fetch_remote(fetcher, remote, folder, free=not required)  # under a name that nobody has


def chosen_name(told: str, wanted: str) -> str:
    """The name a person wants for the file, with the ending it has at its source. Raises `Problem` without one."""
    own = wanted.strip()
    ending = Path(told).suffix or ".safetensors"  # another one is given once the file is there
    complete = not own or own.lower().endswith((ending.lower(), ".safetensors", *OLD_ENDINGS))
    return safe_name((own or told) if complete else own + ending)


def decided(fetcher: fetch.Fetcher, remote: Remote, kind: str, required: bool) -> Remote:
    """With the kind it is taken for, and the name for that, by its first bytes at its source where they tell.

    What an old file is tells only all of it: it may have no kind yet. Raises `Problem` for what is no use.
    """
    look = partial(identify_beginning, partial(read_range, remote), remote.size)  # may take seconds where it is to hurt
    seen = until_stopped(fetcher.step.stop, look) if remote.size else None
    if not seen or seen.format is Format.OTHER:  # nobody knows; or its server gives no part of it
        if not (remote.kind or kind):
            return remote
        is_new = remote.name.lower().endswith(".safetensors")
        seen = ModelFile(Format.SAFETENSORS if is_new else Format.OLD, remote.kind or kind)
    elif remote.kind != "checkpoint":  # which is told by its tensors
        seen = replace(seen, kind=seen.kind or remote.kind or None)
    taken_for, name = fetch.settled(fetcher, remote.name, seen, kind or remote.kind, free=not required)
    return replace(remote, name=remote.name if remote.name.lower().endswith(".zip") else name, kind=taken_for)


def with_companions(fetcher: fetch.Fetcher, model: Model, path: Path) -> str:
    """Have what goes with a model: the VAE it needs, under the name by which A1111 finds it for that model only."""
    if beside := model_named(model.beside) if model.beside else None:
        bind_vae(fetcher, beside, path)
    if model.folder == CHECKPOINTS_FOLDER:
        have_companions(fetcher, path)
    return path.name


def bind_vae(fetcher: fetch.Fetcher, model: Model, path: Path) -> None:
    """Have a VAE under the name by which A1111 finds it for that checkpoint only."""
    alias = fetcher.folder.models / model.folder / f"{path.stem}.vae.safetensors"
    if not alias.exists():
        ensure_model(fetcher, model)
        places = (place_in_catalog(fetcher.folder, model, source) for source in model.sources)
        alias.parent.mkdir(exist_ok=True)
        copy_whole(next(place for place in places if place.exists()), alias)
        fetcher.added.append(alias)


def have_vae(fetcher: fetch.Fetcher, seen: ModelFile, path: Path) -> None:
    """Have one for a checkpoint without: A1111 would paint with zeros in its place."""
    vae = next((vae for base, vae in VAES.items() if (seen.base or "").startswith(base)), "")
    model = model_named(vae) if seen.lacks_vae else None
    places = (path.parent, fetcher.folder.models / "VAE")
    if not model or any(any(place.glob(f"{escape(path.stem)}.vae.*")) for place in places):
        return
    fetcher.step.notice(f"{path.name} has no VAE, without which its images would be grey: {vae} is downloaded for it.")
    try:
        bind_vae(fetcher, model, path)
    except (Problem, OSError) as error:  # the checkpoint itself is there
        why = (
            error.what
            if isinstance(error, Problem)
            else f"{vae} could not be put beside it: {error.strerror or error}."
        )
        fetcher.step.notice(f"{why} Add **{vae}** later, and choose it under Settings → VAE.")


# ---- the models that are there already


def broken_models(folder: Folder, known: set[str]) -> tuple[set[str], dict[str, str]]:
    """Inspect the model files on Drive that are not `known`: (names that are sound or known, name -> what is wrong).

    Names are relative to the kept folder. Only the beginning and the end of a file are read; one that cannot be read at
    all is named, and hides no other. A link that leads nowhere is named by `Folder.dead_shortcuts`.
    """
    underway = {*promised}
    found = list(folder.kept.glob("*.ckpt"))  # A1111's old place for a checkpoint
    for root in (folder.kept / "models", folder.kept / "embeddings", *folder.kept.glob("extensions/*/models")):
        found += files_below(root)
    sound, broken = set[str](), dict[str, str]()
    for path in found:
        if leads_nowhere(path) or path.name.startswith(".") or path.name.endswith(fetch.UNPACKED_PART):
            continue
        name, half = str(path.relative_to(folder.kept)), path.name.lower().endswith(HALF_DOWNLOADS)
        if half or path.suffix.lower() in WEIGHTS:
            if half and (path in underway or path in promised or not path.exists()):
                continue  # it comes just now
            if name not in known and (fault := "it is only partly downloaded" if half else fault_of(path)):
                broken[name] = fault
            else:
                sound.add(name)
    return sound, broken


def usable_checkpoint(folder: Folder, usual: set[str], say: Callable[[str], None]) -> Path | None:
    """A checkpoint A1111 can load, `usual` names first. What is wrong with those inspected before it is said."""
    for path in sorted(folder.checkpoints(), key=lambda path: path.name not in usual):
        try:
            seen = identify(path)
        except OSError as error:
            seen = ModelFile(fault=f"it cannot be read ({error.strerror})")
        if seen.kind == "checkpoint" and not seen.fault:
            return path
        what = f"it is {a_kind(seen.kind)}" if seen.kind else "it does not contain a checkpoint"
        say(f"{path.name} is in your checkpoint folder, but cannot be used: {seen.fault or what}.")
    return None


def read_ahead(path: Path, over: Callable[[], bool]) -> None:
    """Read a file once, so that A1111 finds it in the machine's memory and not on Drive. Ends early once it is `over`.

    Several parts at once: the system asks Drive for 128 kB at a time and waits for each (on 20 ms an answer, 200 MB
    took 17 s in a row, docs/dev/benchmarks.md).
    """
    size = path.stat().st_size

    def read(start: int) -> None:
        for offset in range(start, min(start + READ_AHEAD, size), ASKED_OF_DRIVE):
            if over():
                return
            os.pread(file.fileno(), ASKED_OF_DRIVE, offset)

    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read, range(0, size, READ_AHEAD)))
