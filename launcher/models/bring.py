"""Bringing the models that are wanted to their folder: catalog and links on one side, downloads on the other."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from launcher.core.folder import Folder, require_room
from launcher.core.problem import Problem
from launcher.core.reporter import Reporter
from launcher.models.catalog import HubFile, Model, model_named
from launcher.models.checksums import note_checksum
from launcher.models.download import download
from launcher.models.kinds import KIND_FOLDERS, TokenNeeded, kind_of, safe_name
from launcher.models.links import resolve_link
from launcher.models.model_file import OLD_KINDS, READERS, fault_of, pickle_fault
from launcher.models.remote import Remote
from launcher.models.sources.hugging_face import hub_file_of, resolve_hub_file

STRETCH: Final = 16 << 20  # bytes
READ_AT_ONCE: Final = 2 << 20  # bytes
T_found = TypeVar("T_found")


@dataclass(frozen=True)
class Fetcher:
    """What a download needs of the rest: how to ask for a token, and whom to tell."""

    folder: Folder
    where: str  # the disk's name in messages
    ask_token: Callable[[str, str], str]  # (name of the secret, reason) -> token; "" where nobody answers
    reporter: Reporter


def bring_checkpoint(fetcher: Fetcher, wanted: str, default: str) -> str:
    """Make sure a checkpoint is there; return its file name below models/Stable-diffusion.

    With the default untouched, any checkpoint already there will do and nothing is downloaded; a name or link
    chosen on purpose is fetched if it is missing.
    """
    there = fetcher.folder.checkpoints()
    if wanted == default and there:
        usual = {source.saved_name for source in sources_of(default)}
        chosen = next((path for path in there if path.name in usual), there[0])
        fetcher.reporter.say(f"{len(there)} on {fetcher.where}")
        return chosen.name
    model = model_named(wanted)
    return bring_model(fetcher, model) if model else bring_link(fetcher, wanted, "checkpoint")


def sources_of(name: str) -> tuple[HubFile, ...]:
    """Where the model of that name can be had; empty for a link."""
    model = model_named(name)
    return model.sources if model else ()


def bring_model(fetcher: Fetcher, model: Model) -> str:
    """Fetch a model of the catalog from its first source that has it; return its file name."""
    folder = fetcher.folder.models / model.folder
    for source in model.sources:
        if is_there(fetcher, folder / source.saved_name, source.size):
            fetcher.reporter.say(f"{source.saved_name} is there")
            return bound(fetcher, model, source.saved_name)
    if model.non_commercial:
        fetcher.reporter.notice(
            f"{model.name} is licensed «{model.licence}»: see {model.sources[0].page} before you use it for work."
        )
    failures: list[Problem] = []
    for source in model.sources:
        try:
            fetcher.reporter.say(f"asking {source.repo}")
            remote = with_token(fetcher, lambda token, file=source: resolve_hub_file(file, token))  # type: ignore[misc]
            fetch_remote(fetcher, remote, folder)
            return bound(fetcher, model, remote.name)
        except Problem as problem:
            failures.append(problem)
            if source is not model.sources[-1]:
                fetcher.reporter.notice(f"{problem.what} The next source is tried.")
    raise failures[0]


def bring_link(fetcher: Fetcher, link: str, kind: str = "", name: str = "") -> str:
    """Fetch what a pasted link leads to; return its file name. Uses what is there if its source does not answer.

    `kind` ("checkpoint", "LoRA" …) decides the folder; with "" the source's own word for it does, else the names of the
    tensors in the file. `name` is the file name to give it, with or without its ending.
    """
    fetcher.reporter.say("asking where the link leads")
    try:
        found = with_token(fetcher, lambda token: resolve_link(link, token))
    except Problem as problem:
        hub_file = hub_file_of(link)
        folder = place_for(fetcher.folder, kind or "checkpoint")
        if hub_file and is_there(fetcher, folder / safe_name(hub_file.saved_name), 0):
            fetcher.reporter.notice(f"{problem.what} The file is there already and is used as it is.")
            return safe_name(hub_file.saved_name)
        raise
    remote = found.remote
    if name:
        ending = Path(remote.name).suffix
        remote = replace(remote, name=safe_name(name if name.lower().endswith(ending.lower()) else name + ending))
    sure = kind or found.kind or kind_of(remote)
    if not sure:
        raise Problem(
            f"Nobody can tell what {remote.name} is: a checkpoint, a LoRA, something else?",
            "Choose it in the field kind, and press ▶ again.",
            field="kind",
        )
    target = place_for(fetcher.folder, sure)
    path = target / remote.name
    if path.exists() and not fault_of(path, remote.size):
        fetcher.reporter.say(f"{remote.name} is there")
        return remote.name
    if path.exists() and not fault_of(path, 0):
        raise Problem(
            f"There is another file called {remote.name} in your models folder already.",
            "Rename the old one on Google Drive, or delete it, or write another name into file_name, and press ▶ again.",
        )
    is_there(fetcher, path, remote.size)
    fetch_remote(fetcher, remote, target)
    return remote.name


def place_for(folder: Folder, kind: str) -> Path:
    """The folder for a kind of file. Models may be kept on the machine only; embeddings always live on Drive."""
    below = KIND_FOLDERS[kind]
    return folder.models / below.removeprefix("models/") if below.startswith("models/") else folder.kept / below


def fetch_remote(fetcher: Fetcher, remote: Remote, folder: Path) -> None:
    """Download one file into its folder."""
    if remote.name.lower().endswith(OLD_KINDS):
        fetcher.reporter.notice(
            f"{remote.name} is an old kind of file that can carry programs; take a .safetensors file of the same model where there is one."
        )
    fetcher.reporter.say(remote.name)
    # What is written to Google Drive lies on the runtime's disk until it is uploaded (googlecolab/colabtools#659).
    require_room(fetcher.folder.machine, remote.size, "the runtime's disk", f"The model {remote.name}")
    digest = download(
        remote,
        folder / remote.name,
        where=fetcher.where,
        progress=fetcher.reporter.progress,
        stop=fetcher.reporter.stop,
        check=lambda part, name: pickle_fault(fetcher.folder.tools, part, name),
    )
    note_checksum(fetcher.folder, folder / remote.name, digest)


def is_there(fetcher: Fetcher, path: Path, size: int) -> bool:
    """True if the file is there and whole. A broken one (cut off, a web page) is kept under another name, and said."""
    if not path.exists():
        return False
    fault = fault_of(path, size)
    if not fault:
        return True
    aside = path.with_name(f"{path.name}.broken")
    os.replace(path, aside)
    fetcher.reporter.notice(
        f"{path.name} was there, but it is no usable model file: {fault}. It is kept as {aside.name}; delete it if you do not need it."
    )
    return False


def with_token(fetcher: Fetcher, resolve: Callable[[str], T_found]) -> T_found:
    """Resolve without a token first (a wrong one breaks public files too); ask only where the source wants one."""
    try:
        return resolve("")
    except TokenNeeded as needed:
        token = fetcher.ask_token(needed.name, needed.reason)
        if not token:
            raise Problem(
                f"{needed.reason} A token is needed, and there is none.",
                f"Accept the conditions at {needed.page}, save a token as the Colab secret {needed.name} (the key symbol at the left), and press ▶ again.",
            ) from needed
        try:
            return resolve(token)
        except TokenNeeded as refused:
            raise Problem(
                f"{refused.reason} Your token {needed.name} did not open it.",
                f"Look at {refused.page}, make a new token, save it as the Colab secret {needed.name}, and press ▶ again.",
            ) from refused


def bound(fetcher: Fetcher, model: Model, filename: str) -> str:
    """Bring the VAE a model needs and give it the name by which A1111 finds it for that model only."""
    beside = model_named(model.beside) if model.beside else None
    if beside:
        vae = bring_model(fetcher, beside)
        alias = fetcher.folder.models / beside.folder / f"{Path(filename).stem}.vae.safetensors"
        if not alias.exists():
            copy_or_link(alias.with_name(vae), alias)
    return filename


def copy_or_link(original: Path, alias: Path) -> None:
    """A second name for a file; a copy where the disk knows no links (Google Drive)."""
    part = alias.with_name(f".{alias.name}.part")
    part.unlink(missing_ok=True)
    try:
        part.symlink_to(original.name)
    except OSError:
        part.write_bytes(original.read_bytes())
    os.replace(part, alias)


def read_ahead(path: Path, progress: Callable[[int, int], None]) -> None:
    """Read a file once, so that A1111 finds it in the machine's memory and not on Drive.

    Several stretches at once: the system asks Drive for 128 kB at a time and waits for each (on 20 ms an answer, 200 MB took
    17 s in a row, docs/benchmarks.md).
    """
    size, done, lock = path.stat().st_size, [0], threading.Lock()

    def read(start: int) -> None:
        for offset in range(start, min(start + STRETCH, size), READ_AT_ONCE):
            piece = os.pread(file.fileno(), READ_AT_ONCE, offset)
            with lock:
                done[0] += len(piece)
                progress(done[0], size)

    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(READERS) as pool:
        list(pool.map(read, range(0, size, STRETCH)))
