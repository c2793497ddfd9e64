"""Making sure that the models that are wanted are in their folder: of the catalog, or behind a pasted link."""

from dataclasses import replace
from pathlib import Path

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.models.catalog import CHECKPOINTS_FOLDER, HubFile, Model, model_named
from launcher.models.fetcher import Fetcher, fetch_remote, is_same, reuse_or_set_aside, with_token
from launcher.models.identify import OLD_ENDINGS, identify, identify_beginning
from launcher.models.kinds import KIND_ENDINGS, KIND_FOLDERS, Format, ModelFile
from launcher.models.link_target import LinkTarget, safe_name
from launcher.models.links import resolve_link
from launcher.models.pasted import one_link
from launcher.models.previews import fetch_previews
from launcher.models.probe import read_range
from launcher.models.receive import copy_or_link, ending_for, no_use, refuse_other_kind
from launcher.models.remote import Remote
from launcher.models.sources.hugging_face import hub_file_of, resolve_hub_file
from launcher.models.taken_over import fault_of, usable_checkpoint
from launcher.models.web import until_stopped


def ensure_checkpoint(fetcher: Fetcher, wanted: str, default: str) -> str:
    """Make sure a checkpoint is there; return its file name below models/Stable-diffusion.

    With the default untouched, any checkpoint there that A1111 can load will do and nothing is downloaded; a name or
    link chosen on purpose is fetched if it is missing.
    """
    if wanted == default:
        usual = {source.saved_name for source in sources_of(default)}
        chosen, useless = usable_checkpoint(fetcher.folder, usual)
        for name, fault in useless.items():
            fetcher.step.notice(f"{name} is in your checkpoint folder, but cannot be used: {fault}.")
        if chosen:
            fetcher.step.say(f"{chosen.name} is ready")
            fetch_previews(fetcher, identify(chosen).base)
            return chosen.name
    model = model_named(wanted)
    return ensure_model(fetcher, model) if model else ensure_linked_model(fetcher, wanted, "checkpoint")


def sources_of(name: str) -> tuple[HubFile, ...]:
    """Where the model of that name can be had; empty for a link."""
    model = model_named(name)
    return model.sources if model else ()


def ensure_model(fetcher: Fetcher, model: Model) -> str:
    """Fetch a model of the catalog from its first source that has it; return its file name."""
    folder = fetcher.folder.models / model.folder
    for source in model.sources:
        if reuse_or_set_aside(fetcher, folder / source.saved_name, source.size, source.sha256):
            fetcher.step.say(f"{source.saved_name} is ready")
            return with_companions(fetcher, model, source.saved_name)
    if model.non_commercial:
        fetcher.step.notice(
            f"{model.name} is licensed under {model.licence}: read {model.sources[0].page} before you use it "
            "commercially."
        )
    failures: list[Problem] = []
    for source in model.sources:
        try:
            fetcher.step.say(f"asking {source.repo}")
            remote = with_token(fetcher, lambda token, file=source: resolve_hub_file(file, token))  # type: ignore[misc]
            path = fetch_remote(fetcher, remote, folder)
            return with_companions(fetcher, model, path.name)
        except Problem as problem:
            failures.append(problem)
            if source is not model.sources[-1]:
                fetcher.step.notice(f"{problem.what} The next source is tried.")
    raise failures[0]


def ensure_linked_model(fetcher: Fetcher, link: str, kind: str = "", name: str = "") -> str:
    """Fetch what a pasted link leads to; return its file name. Uses what is there if its source does not answer.

    `kind` ("checkpoint", "LoRA" …) decides the folder; with "" the source's own word for it does, else the names of the
    tensors in the file. `name` is the file name to give it, with or without its ending.
    """
    fetcher.step.say("checking the link")
    try:
        found = with_token(fetcher, lambda token: resolve_link(link, token))
    except Problem as problem:
        there = file_there(fetcher.folder, link, kind or "checkpoint")
        if there:
            fetcher.step.notice(f"{problem.what} The file is already there and is used as it is.")
            return there
        raise
    remote = replace(found.remote, name=chosen_name(found.remote.name, name))
    same = place_for(fetcher.folder, kind or found.kind or "checkpoint") / remote.name
    if remote.sha256 and same.exists() and not fault_of(same) and is_same(fetcher, same, remote):
        fetcher.step.say(f"{same.name} is ready")
        return same.name
    seen = until_stopped(fetcher.step.stop, lambda: look_before(remote))
    sure, remote = decide(found, remote, seen, kind)
    folder = place_for(fetcher.folder, sure)
    for target in (folder / remote.name, folder / told_apart(remote)):
        if not reuse_or_set_aside(fetcher, target, 0, "") and not target.exists():
            path = fetch_remote(fetcher, replace(remote, name=target.name), folder, sure)
            break
        if until_stopped(fetcher.step.stop, lambda path=target: is_same(fetcher, path, remote)):  # type: ignore[misc]
            fetcher.step.say(f"{target.name} is ready")
            path = target
            break
        fetcher.step.notice(f"There is already another file called {target.name}; it was left as it is.")
    else:
        raise Problem(
            f"There are already two other files called {remote.name} in your models folder.",
            "Write another name into the field **file_name**, and press ▶ again.",
        )
    if sure == "checkpoint":
        fetch_previews(fetcher, identify(path).base)
    return path.name


def chosen_name(told: str, wanted: str) -> str:
    """The name a person wants for the file, with the ending it has at its source. Raises `Problem` where there is
    none.
    """
    ending = Path(told).suffix or ".safetensors"  # another one is given once the file is there
    if not wanted.strip():
        return safe_name(told)
    own = wanted.strip()
    return safe_name(own if own.lower().endswith((ending.lower(), ".safetensors", *OLD_ENDINGS)) else own + ending)


def file_there(folder: Folder, link: str, kind: str) -> str:
    """The name of the file a link to the hub leads to, if it is there and sound."""
    try:
        hub_file = hub_file_of(one_link(link))
        name = safe_name(hub_file.saved_name) if hub_file else ""
    except Problem:
        return ""
    path = place_for(folder, kind) / name
    return name if name and path.exists() and not fault_of(path) else ""


def look_before(remote: Remote) -> ModelFile | None:
    """What the file is, by its first bytes at its source; None where they do not tell."""
    return identify_beginning(lambda start, end: read_range(remote, start, end), remote.size) if remote.size else None


def decide(found: LinkTarget, remote: Remote, seen: ModelFile | None, kind: str) -> tuple[str, Remote]:
    """(the kind, the remote with the ending for it), before the download. Raises `Problem` for what is no use."""
    if seen and seen.fault and seen.format is not Format.OTHER:
        raise no_use(remote.name, seen.fault)
    word = kind or found.kind
    if seen and seen.format is Format.SAFETENSORS and word:
        refuse_other_kind(remote.name, seen, word)
    if found.kind and kind and found.kind != kind:
        refuse_other_kind(remote.name, ModelFile(Format.SAFETENSORS, found.kind), kind)
    sure = word or (seen.kind if seen else None)
    if not sure:
        raise Problem(
            f"The launcher cannot tell what {remote.name} is: a checkpoint, a LoRA, or something else.",
            "Choose it in the field **kind**, and press ▶ again.",
            field="kind",
        )
    if seen and seen.format is Format.SAFETENSORS:
        ending = ending_for(Path(remote.name).suffix, seen, sure)
        return sure, replace(remote, name=Path(remote.name).stem + ending)
    if not seen and remote.name.lower().endswith(".safetensors") and ".safetensors" not in KIND_ENDINGS[sure]:
        ending_for(".safetensors", ModelFile(Format.SAFETENSORS), sure)
    return sure, remote


def told_apart(remote: Remote) -> str:
    """Another name for another file of the same name; always the same one for the same file."""
    path = Path(remote.name)
    return f"{path.stem}-{remote.tag[:8]}{path.suffix}"


def place_for(folder: Folder, kind: str) -> Path:
    """The folder for a kind of file. Models may be kept on the machine only; embeddings always live on Drive."""
    below = KIND_FOLDERS[kind]
    return folder.models / below.removeprefix("models/") if below.startswith("models/") else folder.kept / below


def with_companions(fetcher: Fetcher, model: Model, filename: str) -> str:
    """Have what goes with a model: the VAE it needs, under the name by which A1111 finds it for that model only."""
    beside = model_named(model.beside) if model.beside else None
    if beside:
        vae = ensure_model(fetcher, beside)
        alias = fetcher.folder.models / beside.folder / f"{Path(filename).stem}.vae.safetensors"
        if not alias.exists():
            copy_or_link(alias.with_name(vae), alias)
    if model.folder == CHECKPOINTS_FOLDER:
        fetch_previews(fetcher, model.family)
    return filename
