"""Whatever Drive makes of a file that comes back: what `make garbled` runs whole, and a test in part.

A row: a machine of before has kept everything on a Drive of FUSE; one file there is garbled; a new machine does with it
what a launch does, and then what A1111 does with what came; then Drive is looked at from behind.
"""

import csv
import datetime
import gzip
import json
import shutil
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher.core.fields import NEWEST
from launcher.core.folder import Folder
from launcher.drive.find import NOTES, Remembered
from launcher.drive.restore import HUB_CHECKSUMS
from launcher.drive.sync import Sync
from launcher.extensions.extension import put_extensions
from launcher.models.checksums import CHECKSUMS_FILE, known_checksum, note_checksum
from launcher.models.ensure import broken_models
from launcher.python.bytecode import ARCHIVE, keep_bytecode, put_bytecode, unpack_bytecode
from launcher.source.checkout import Repository, check_out, check_out_version
from launcher.source.kept import BUNDLE, ORIGIN
from launcher.source.versions import VERSIONS, Versions, versions_to_try
from launcher.webui.outputs import OutputFolders
from launcher.webui.settings_files import check_page_settings, check_settings_file, check_texts
from tests.drive.test_checks import FETCHED, GOOD, MODEL
from tests.python import test_bytecode
from tests.source.test_kept import (
    NICE,
    a_dead_shortcut,
    a_folder,
    as_1_2_0_kept_it,
    cut,
    emptied,
    garbage,
    nested,
    zeroed,
)
from tests.world import WEBUI, World, safetensors
from tests.world.githost import git, opened
from tests.world.heard import Heard
from tests.world.mounted import MountedDrive
from tests.world.webui.modules.ui_loadsave import create_page

DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": emptied,
    "cut": cut,
    "zeros": zeroed,
    "other bytes": garbage,
    "nested 60,000 deep": nested,
    "a folder of its name": a_folder,
    "a dead shortcut": a_dead_shortcut,
    "its contents unreadable (Errno 5)": lambda path: None,
}
UNREADABLE = "its contents unreadable (Errno 5)"
OLD_PART = "crowsonkb/k-diffusion"


class Person:
    """Their folder on Drive, a machine, and what the launcher said."""

    def __init__(self, world: World, drive: MountedDrive, name: str, machine: Path) -> None:
        self.world, self.drive, self.name = world, drive, name
        self.behind = drive.behind / "MyDrive" / name / "stable-diffusion-webui"
        self.heard = Heard()
        self.folder = Folder(drive.mydrive / name / "stable-diffusion-webui", machine)
        self.folder.prepare()
        self.outputs = OutputFolders(self.folder, self.heard.notice)
        self.sync = Sync(
            self.folder.data,
            self.folder.kept,
            lambda line: None,
            say=self.heard.notice,
            elsewhere=self.outputs.elsewhere,
        )


# ---- what a launch does with what Drive gave, and A1111 after it


def bring_web_ui(person: Person) -> None:
    tries = versions_to_try(person.folder, NEWEST, person.heard)
    check_out_version(person.folder, tries.commit, person.heard)
    tries.worked()
    assert (person.folder.code / "launch.py").exists()


def bring_part(person: Person) -> None:
    part = Repository("repositories/k-diffusion", (f"https://github.com/{OLD_PART}.git",), head_of_part(person))
    check_out(person.folder, part, person.folder.code / part.folder, person.heard)
    assert (person.folder.code / part.folder / "README").exists()


def head_of_part(person: Person) -> str:
    text = (person.world.git.root / f"{OLD_PART}.git" / "refs" / "heads" / "master").read_text()
    return text.strip()


def bring_extension(person: Person) -> None:
    put_extensions(person.folder, person.heard)
    assert (person.folder.data / "extensions" / "nice" / "one").exists()


def bring_settings(person: Person) -> None:
    folder = person.folder
    person.sync.restore()
    folder.code.mkdir(exist_ok=True)
    broken = (check_settings_file(folder.data), check_page_settings(folder.data), *check_texts(folder.data))
    for sentence in filter(None, broken):
        person.heard.notice(sentence)
    person.outputs.prepare()
    use_as_a1111_does(folder)
    for _ in range(3):
        person.sync.poll(settled=0)
    assert person.sync.unkept == 0


def use_as_a1111_does(folder: Folder) -> None:
    """Read what came, and write what is not there, as v1.10.1 does; raises where that would die or fail at an image."""
    data = folder.data
    settings = json.loads(text_of(data / "config.json") or "{}")
    settings.get("disabled_extensions")
    (data / "config.json").write_text(json.dumps(settings | {"used": 1}))
    create_page(data / "ui-config.json")
    styles = list(csv.DictReader((text_of(data / "styles.csv") or "name,prompt\n").removeprefix("\ufeff").splitlines()))
    with (data / "styles.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, ("name", "prompt"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*({"name": row["name"], "prompt": row["prompt"]} for row in styles), {"name": "new"}])
    (data / "log" / "images").mkdir(parents=True, exist_ok=True)
    listed = text_of(data / "log/images/log.csv") or ""
    (data / "log/images/log.csv").write_text(f"{listed}a dog\n", encoding="utf-8")
    (data / "params.txt").write_text("a dog")
    (data / "config_states").mkdir(exist_ok=True)
    states = [json.loads(path.read_text()) for path in (data / "config_states").glob("*.json")]
    for state in sorted(states, key=lambda one: float(one["created_at"])):
        datetime.datetime.fromtimestamp(state["created_at"])
    for name in FETCHED:
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        if not (data / name).exists():
            (data / name).write_text(GOOD[name])
        assert (data / name).read_text() == GOOD[name], f"each image fails: {name}"
    lists = folder.code / "interrogate"
    if not lists.exists():
        lists.mkdir()
        for name in ("artists", "mediums"):
            (lists / f"{name}.txt").write_text(GOOD[f"interrogate/{name}.txt"])
    assert all(path.read_text(encoding="utf8").strip("\0 \n") for path in lists.glob("*.txt"))


def text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def bring_embeddings(person: Person) -> None:
    bring_settings(person)
    if broken := broken_models(person.folder, set())[1]:
        person.heard.notice(f"Damaged files in your folder: {broken}")


def bring_versions(person: Person) -> None:
    person.sync.restore()
    versions = Versions(person.folder.kept)
    versions.note_good(versions.good or "a" * 40, {})


def bring_notes(person: Person) -> None:
    person.sync.restore()
    Remembered.read(person.folder.kept)
    Remembered.write(person.folder.kept, used_at=1.0)


def bring_known(person: Person) -> None:
    person.sync.restore()
    path = person.folder.models / "Stable-diffusion" / "a.safetensors"
    path.write_bytes(safetensors(1000))
    known_checksum(person.folder, path)
    note_checksum(person.folder, path, "5" * 64)


def bring_bytecode(person: Person) -> None:
    machine = test_bytecode.machine(person.folder.machine / "second", person.folder.kept, 2_000_000_000)
    unpack_bytecode(machine, person.heard.notice)
    put_bytecode(machine)
    assert test_bytecode.told(machine, "one") == "one"
    keep_bytecode(machine, test_bytecode.PACKAGES)


# ---- the kinds of files


def is_json(path: Path) -> bool:
    return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)


def is_bundle(path: Path) -> bool:
    return path.name == "commits.bundle" and git("fsck", "--strict", at=opened(path.parent.parent)) == ""


def is_text(path: Path) -> bool:
    text = path.read_text(encoding="utf-8-sig")
    return bool(text) and "\0" not in text


def is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def is_packed(path: Path) -> bool:
    return isinstance(json.loads(gzip.decompress(path.read_bytes())), dict)


def as_it_was(path: Path) -> bool:
    return path.read_text() == next(text for name, text in GOOD.items() if str(path).endswith(f"/{name}"))


@dataclass(frozen=True)
class Kind:
    """A file in the folder on Drive: what a launch does with it, and which file, here or elsewhere, is a good one then.

    `is_good` is None for what only its owner can make anew: it stays as it is.
    """

    path: str  # a pattern
    bring: Callable[[Person], None]
    is_good: Callable[[Path], bool] | None
    afterwards: str | None = None  # where the good one is, if elsewhere
    before: str | None = None  # by which launcher it was kept, where it was another


KINDS = (
    Kind(BUNDLE, bring_web_ui, is_bundle),
    Kind(f"repositories/k-diffusion/{BUNDLE}", bring_part, is_bundle),
    Kind(f"extensions/nice/{BUNDLE}", bring_extension, is_bundle),
    Kind(f"extensions/nice/{ORIGIN}", bring_extension, None),
    Kind("extensions/nice/own.json", bring_extension, None),
    *(
        Kind(f"{place}.git/{name}", bring, is_bundle, f"{place}{BUNDLE}", "1.2.0")
        for place, bring in (("", bring_web_ui), ("extensions/nice/", bring_extension))
        for name in ("objects/pack/*.pack", "objects/pack/*.idx", "HEAD", "config")
    ),
    *(Kind(name, bring_settings, as_it_was) for name in FETCHED),
    Kind("interrogate/artists.txt", bring_settings, is_text),
    Kind("config.json", bring_settings, is_json),
    Kind("ui-config.json", bring_settings, is_json),
    Kind("styles.csv", bring_settings, is_text),
    Kind("log/images/log.csv", bring_settings, is_text),
    Kind("params.txt", bring_settings, is_text),
    Kind("config_states/1.json", bring_settings, None),
    Kind("embeddings/e.safetensors", bring_embeddings, None),
    Kind(VERSIONS, bring_versions, is_json),
    Kind(NOTES, bring_notes, is_json),
    Kind(HUB_CHECKSUMS, bring_settings, is_json),
    Kind(CHECKSUMS_FILE, bring_known, is_packed),
    Kind(ARCHIVE, bring_bytecode, is_zip),
)


@dataclass(frozen=True)
class Garbled:
    """A row of the table."""

    path: str
    damage: str
    ran: bool
    said: str
    drive: str  # what of it is on Drive afterwards

    @property
    def good(self) -> bool:
        return self.ran and self.drive != "NO GOOD ONE"

    def cells(self) -> list[str]:
        name = self.path.replace(MODEL, "huggingface/…").replace(f"/snapshots/{'a' * 40}", "")
        return [f"`{name}`", self.damage, "runs" if self.ran else "STOPPED", self.said, self.drive]


def first_day(world: World, drive: MountedDrive, root: Path) -> None:
    """A machine that has kept everything, under the name `good`."""
    world.git.add(NICE, {"one": b"1\n", "two": b"2\n"})
    person = Person(world, drive, "good", root / "first")
    behind = person.behind
    for path, text in GOOD.items():
        (person.folder.data / path).parent.mkdir(parents=True, exist_ok=True)
        (person.folder.data / path).write_text(text)
    person.sync.poll(settled=0)
    (behind / "embeddings" / "e.safetensors").write_bytes(safetensors(1000))
    bring_web_ui(person)
    bring_part(person)
    nice = Repository("extensions/nice", (f"https://github.com/{NICE}.git",), "HEAD")
    check_out(person.folder, nice, person.folder.data / "extensions" / "nice", person.heard)
    (behind / "extensions" / "nice" / "own.json").write_text('{"mine": 1}')
    bring_settings(person)
    bring_versions(person)
    bring_notes(person)
    bring_known(person)
    machine = test_bytecode.machine(root / "compiled", person.folder.kept, 1_000_000_000)
    for module in ("one", "two"):
        test_bytecode.told(machine, module)
    keep_bytecode(machine, test_bytecode.PACKAGES)
    assert person.heard.notices == []
    (behind / "embeddings" / "e.pt").unlink()  # which is none
    old = drive.behind / "MyDrive" / "old" / "stable-diffusion-webui"
    shutil.copytree(behind, old)
    shutil.rmtree(old / ".source")
    as_1_2_0_kept_it(old, world.git.url, WEBUI)
    shutil.rmtree(old / "extensions" / "nice")
    as_1_2_0_kept_it(old / "extensions" / "nice", world.git.url, NICE)


def one_row(world: World, drive: MountedDrive, root: Path, kind: Kind, damage: str, name: str) -> Garbled:
    """Garble one file of a copy of what was kept, under another `name` on Drive, and let a new machine use it."""
    top = drive.behind / "MyDrive"
    shutil.copytree(top / ("old" if kind.before else "good"), top / name)
    person_behind = top / name / "stable-diffusion-webui"
    paths = sorted(person_behind.glob(kind.path))
    assert paths, kind.path
    for path in paths:
        DAMAGES[damage](path)
    unreadable = f"/MyDrive/{paths[0].relative_to(top)}" if damage == UNREADABLE else ""
    drive.manners(keeps_back=unreadable)
    person = Person(world, drive, name, root / name)
    try:
        kind.bring(person)
        ran, said = True, " ".join(person.heard.notices)
    except Exception as error:
        traceback.print_exc()
        ran, said = False, f"{type(error).__name__}: {error}"[:200]
    drive.manners()
    return Garbled(kind.path, damage, ran, said or "nothing", state(kind, person_behind))


def state(kind: Kind, behind: Path) -> str:
    """What of it is on Drive now."""
    last = Path(kind.path)
    aside = [path.name for path in behind.rglob(f"{last.stem}.broken-*{last.suffix}")]
    kept = f"; the damaged one as `{aside[0]}`" if aside else ""
    if kind.is_good is None:
        return f"as it was given back: only its owner has another{kept}"
    try:
        found = [path for path in behind.glob(kind.afterwards or kind.path) if path.is_file()]
        good = bool(found) and all(map(kind.is_good, found))
    except (ValueError, OSError):  # it is no text, no JSON
        good = False
    return f"a good one{kept}" if good else "NO GOOD ONE"
