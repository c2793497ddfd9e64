"""Models that lie elsewhere on Drive are in the web UI's lists under their own names, and are nowhere twice."""

import glob
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.core.folder import Folder
from launcher.core.problem import Problem
from launcher.drive import linked
from launcher.drive.find import Remembered
from launcher.drive.linked import join_models, link_models, link_new_models, stop_using_models, use_models
from launcher.drive.sync import Sync
from tests.models.old_files import LORA, zipped
from tests.models.test_identify import CLIP, UNET, tensors
from tests.world.mounted import MountedDrive

CHECKPOINT = tensors({UNET: (320, 4, 3, 3), CLIP: (768,)})
LORA_FILE = tensors({"lora_unet_down_blocks_0_attentions_0_proj_in.hada_w1_a": (8, 4)})
VAE_FILE = tensors({"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (1,)})
EMBEDDING = tensors({"emb_params": (2, 768)})
MOTION_MODULE = tensors({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (1,)})
OF_ANOTHER_PROGRAM = tensors({"double_blocks.0.img_attn.qkv.weight": (1,)})


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[MountedDrive]:
    with MountedDrive(tmp_path) as mounted:
        yield mounted


def test_a_folder_that_drive_does_not_list_is_not_taken_for_an_empty_one(drive: MountedDrive) -> None:
    """Errno 5: it is busy, or has thousands of files (colabtools#510)."""
    person = Person(drive)
    person.has(**{f"asd1111/stable-diffusion-webui/models/Stable-diffusion/{n}.safetensors": b"x" for n in range(31)})
    person.has(**{f"AI/{n}.safetensors": b"x" for n in range(31)})
    drive.manners(big_folder=30)
    with pytest.raises(OSError, match="Errno 5"):
        person.folder.checkpoints()
    with pytest.raises(Problem, match="cannot be listed"):
        use_models(person.folder, drive.mydrive / "AI", person.said.append)


def test_what_a_shortcut_in_the_embeddings_leads_to_is_listed_and_not_copied(drive: MountedDrive) -> None:
    person = Person(drive)
    person.has(**{"shared/easy.safetensors": EMBEDDING})
    embeddings = drive.behind / "MyDrive" / "asd1111" / "stable-diffusion-webui" / "embeddings"
    embeddings.mkdir(parents=True, exist_ok=True)
    (embeddings / "shared").symlink_to(drive.mydrive / "shared")
    person.uses()
    assert "easy" in person.lists("embedding")
    person.sync.poll(settled=0)
    assert [name for name in person.on_drive() if "easy" in name] == ["shared/easy.safetensors"]


class Person:
    """Somebody with a web UI's folder on Drive, and models elsewhere."""

    def __init__(self, drive: MountedDrive, kept: str = "asd1111/stable-diffusion-webui", models_kept: bool = True):
        self.drive, self.said = drive, list[str]()
        self.folder = Folder(drive.mydrive / kept, drive.behind.parent / "machine", models_kept, drive.mydrive)
        self.folder.prepare()
        self.sync = Sync(self.folder.data, self.folder.kept, lambda text: None, say=self.said.append)

    def has(self, **files: bytes) -> None:
        """Files on My Drive, put there from elsewhere."""
        for name, content in files.items():
            path = self.drive.behind / "MyDrive" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def uses(self, *names: str) -> None:
        for name in names:
            join_models(self.folder.kept, name)
        link_models(self.folder, self.said.append)

    def on_drive(self, below: str = "") -> list[str]:
        top = self.drive.behind / "MyDrive" / below
        return sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())

    def lists(self, kind: str) -> list[str]:
        """What A1111 v1.10.1 has in the list of that kind, as its modules find it."""
        data = self.folder.data
        if kind == "VAE":  # modules/sd_vae.py
            found = glob.glob(f"{data}/models/VAE/**/*.safetensors", recursive=True)
            return sorted(
                os.path.basename(p) for p in found + glob.glob(f"{data}/models/**/*.vae.safetensors", recursive=True)
            )
        root = {"checkpoint": "models/Stable-diffusion", "LoRA": "models/Lora", "embedding": "embeddings"}[kind]
        paths = [os.path.join(w, n) for w, _, names in os.walk(data / root, followlinks=True) for n in names]
        weights = [p for p in paths if p.endswith((".safetensors", ".ckpt", ".pt")) and ".vae." not in p]
        if kind == "checkpoint":  # modules/sd_models.py: the name by which images know it
            return sorted(os.path.splitext(os.path.relpath(p, data / root).replace("/", "_"))[0] for p in weights)
        return sorted(os.path.splitext(os.path.basename(p))[0] for p in weights)


@pytest.fixture
def person(drive: MountedDrive) -> Person:
    return Person(drive)


KEPT = "asd1111/stable-diffusion-webui"


@pytest.mark.parametrize(
    ("files", "used", "lists"),
    [
        ({"AI/models/x.safetensors": CHECKPOINT}, "AI/models", {"checkpoint": ["x"]}),
        ({"AI/models/x.safetensors": CHECKPOINT}, "AI/models/x.safetensors", {"checkpoint": ["x"]}),
        ({"AI/models/x.safetensors": CHECKPOINT, "AI/l.safetensors": LORA_FILE, "AI/v.safetensors": VAE_FILE,
          "AI/e.safetensors": EMBEDDING, "AI/old.pt": zipped(LORA), "AI/flux.safetensors": OF_ANOTHER_PROGRAM,
          "AI/half.safetensors": CHECKPOINT[:-9], "AI/motion.safetensors": MOTION_MODULE, "AI/readme.txt": b"x"}, "AI",
         {"checkpoint": ["models_x"], "LoRA": ["l", "old"], "VAE": ["v.safetensors"], "embedding": ["e"]}),
        ({"AI/models/Stable-diffusion/sdxl/x.safetensors": CHECKPOINT, "AI/models/Lora/l.safetensors": LORA_FILE,
          "AI/models/VAE/v.safetensors": VAE_FILE, "AI/embeddings/e.pt": EMBEDDING}, "AI",
         {"checkpoint": ["sdxl_x"], "LoRA": ["l"], "VAE": ["v.safetensors"], "embedding": ["e"]}),
        ({"comfy/models/checkpoints/x.safetensors": CHECKPOINT, "comfy/models/loras/style/l.safetensors": LORA_FILE,
          "comfy/models/unet/f.safetensors": OF_ANOTHER_PROGRAM}, "comfy", {"checkpoint": ["x"], "LoRA": ["l"]}),
        ({"sd/stable-diffusion-webui/models/Stable-diffusion/x.ckpt": CHECKPOINT,
          "sd/stable-diffusion-webui/embeddings/e.pt": EMBEDDING,
          "sd/stable-diffusion-webui/models/LyCORIS/l.safetensors": LORA_FILE,
          "sd/stable-diffusion-webui/outputs/p.safetensors": CHECKPOINT}, "sd",
         {"checkpoint": ["x"], "LoRA": ["l"], "embedding": ["e"]}),
    ],
    ids=["a folder", "a file", "a mixed folder", "A1111's folders", "ComfyUI's folders", "TheLastBen's web UI"],
)  # fmt: skip
def test_models_elsewhere_are_listed_under_their_own_names_without_a_second_copy(
    person: Person, files: dict[str, bytes], used: str, lists: dict[str, list[str]]
) -> None:
    person.has(**files, **{f"{KEPT}/models/Stable-diffusion/own.safetensors": CHECKPOINT})
    before = person.on_drive()
    person.uses(used)
    wanted = {kind: lists.get(kind, []) for kind in ("checkpoint", "LoRA", "VAE", "embedding")}
    wanted["checkpoint"] = sorted([*wanted["checkpoint"], "own"])
    assert {kind: person.lists(kind) for kind in wanted} == wanted
    person.sync.poll(settled=0)
    assert set(person.on_drive()) - set(before) == {f"{KEPT}/oneclick.json"}
    assert person.said == []


def test_without_models_elsewhere_all_is_as_it_was(person: Person) -> None:
    assert link_models(person.folder, person.said.append) == []
    assert os.readlink(person.folder.data / "models") == str(person.folder.models)


def test_a_kind_that_lies_in_one_place_is_a_link_to_it(person: Person) -> None:
    person.has(**{f"{KEPT}/models/VAE/v.safetensors": VAE_FILE, "AI/l.safetensors": LORA_FILE})
    person.uses("AI")
    models = person.folder.data / "models"
    assert os.readlink(models / "VAE") == str(person.folder.models / "VAE")
    assert not (models / "Lora").is_symlink()


def test_what_an_extension_reads_in_the_models_folder_is_shown_to_it(person: Person) -> None:
    person.has(**{"AI/models/adetailer/face.pt": b"weights", "AI/models/adetailer/notes.txt": b"words"})
    person.uses("AI")
    place = person.folder.data / "models" / "adetailer"
    assert [path.name for path in place.iterdir()] == ["face.pt"]


def test_files_that_belong_to_a_model_come_with_it(person: Person) -> None:
    beside = ("x.vae.safetensors", "x.yaml", "x.preview.png", "x.json", "x.civitai.info")
    person.has(**{f"AI/{name}": b"{}" for name in beside}, **{"AI/x.safetensors": CHECKPOINT, "AI/xy.png": b"another"})
    person.uses("AI")
    place = person.folder.data / "models" / "Stable-diffusion"
    assert sorted(path.name for path in place.iterdir()) == sorted(("x.safetensors", *beside))
    assert person.lists("VAE") == ["x.vae.safetensors"]


def test_what_the_web_ui_writes_beside_a_model_is_on_drive_and_comes_back(person: Person) -> None:
    person.has(**{"AI/models/Lora/l.safetensors": LORA_FILE, "AI/models/Lora/l.json": b"old"})
    person.uses("AI")
    place = person.folder.data / "models" / "Lora"
    (place / "l.png").write_bytes(b"preview")  # as modules/ui_extra_networks.py writes it
    (place / "l.json").write_text("new")  # and modules/ui_extra_networks_user_metadata.py
    (place / "fetched.safetensors").write_bytes(LORA_FILE)  # by an extension that browses Civitai
    (person.folder.data / "models" / "adetailer").mkdir()
    (person.folder.data / "models" / "adetailer" / "face.pt").write_bytes(b"weights")
    person.sync.poll(settled=0)
    kept = f"{KEPT}/models"
    assert person.on_drive(kept) == ["Lora/fetched.safetensors", "Lora/l.png", "adetailer/face.pt"]
    assert (person.drive.behind / "MyDrive" / "AI" / "models" / "Lora" / "l.json").read_text() == "new"
    link_models(person.folder, person.said.append)
    assert not (place / "fetched.safetensors").is_symlink(), "what the web UI made stays a file"
    other = Folder(person.folder.kept, person.drive.behind.parent / "another", my_drive=person.drive.mydrive)
    other.prepare()
    link_models(other, person.said.append)
    there = other.data / "models"
    assert sorted(path.name for path in (there / "Lora").iterdir()) == [
        "fetched.safetensors", "l.json", "l.png", "l.safetensors",
    ]  # fmt: skip
    assert (there / "Lora" / "l.png").read_bytes() == b"preview"
    assert (there / "adetailer" / "face.pt").read_bytes() == b"weights"


def test_what_was_deleted_or_renamed_among_the_new_files_is_so_on_drive(person: Person) -> None:
    person.has(**{"AI/l.safetensors": LORA_FILE})
    person.uses("AI")
    place = person.folder.data / "models" / "Lora"
    (place / "l.png").write_bytes(b"preview")
    (place / "l.txt").write_bytes(b"words")
    person.sync.poll(settled=0)
    (place / "l.png").unlink()
    (place / "l.txt").rename(place / "l.description.txt")
    for _ in range(2):
        person.sync.poll(settled=0)
    assert person.on_drive(f"{KEPT}/models") == ["Lora/l.description.txt"]


def test_own_models_win_and_a_folder_of_the_same_name_is_one_list(person: Person) -> None:
    person.has(
        **{
            f"{KEPT}/models/Stable-diffusion/x.safetensors": CHECKPOINT,
            f"{KEPT}/models/Stable-diffusion/sdxl/own.safetensors": CHECKPOINT,
            "AI/Stable-diffusion/x.safetensors": CHECKPOINT,
            "AI/Stable-diffusion/sdxl/theirs.safetensors": CHECKPOINT,
        }
    )
    person.uses("AI")
    assert person.lists("checkpoint") == ["sdxl_own", "sdxl_theirs", "x"]
    own = person.folder.models / "Stable-diffusion" / "x.safetensors"
    assert os.readlink(person.folder.data / "models" / "Stable-diffusion" / "x.safetensors") == str(own)


def test_what_the_launcher_fetches_and_takes_away_is_seen_at_once(person: Person) -> None:
    person.has(**{"AI/x.safetensors": CHECKPOINT})
    person.uses("AI")
    fetched = person.folder.models / "Stable-diffusion" / "fetched.safetensors"
    fetched.write_bytes(CHECKPOINT)
    (person.folder.models / "VAE").mkdir()
    link_new_models(person.folder)
    assert person.lists("checkpoint") == ["fetched", "x"]
    assert (person.folder.data / "models" / "VAE").is_symlink()
    fetched.unlink()
    link_new_models(person.folder)
    assert person.lists("checkpoint") == ["x"]
    assert not os.path.lexists(person.folder.data / "models" / "Stable-diffusion" / "fetched.safetensors")


def test_models_that_are_no_longer_used_or_there_leave_the_lists(person: Person) -> None:
    person.has(**{"AI/x.safetensors": CHECKPOINT, "AI/e.safetensors": EMBEDDING, "more/l.safetensors": LORA_FILE})
    person.uses("AI", "more")
    assert (person.lists("checkpoint"), person.lists("LoRA"), person.lists("embedding")) == (["x"], ["l"], ["e"])
    stop_using_models(person.folder, person.drive.mydrive / "AI", person.said.append)
    assert (person.lists("checkpoint"), person.lists("LoRA"), person.lists("embedding")) == ([], ["l"], [])
    assert Remembered.read(person.folder.kept).model_folders == ("more",)
    (person.drive.behind / "MyDrive" / "more").rename(person.drive.behind / "MyDrive" / "elsewhere")
    link_models(person.folder, person.said.append)
    assert person.lists("LoRA") == []
    (said,) = person.said
    assert said.startswith("more is no longer on your Drive: its models are not in the web UI's lists. Give it its old")
    assert "AI/x.safetensors" in person.on_drive()


def test_a_folder_that_is_added_is_used_and_told(person: Person) -> None:
    person.has(**{"AI/x.safetensors": CHECKPOINT, "AI/a.safetensors": LORA_FILE, "AI/b.safetensors": LORA_FILE})
    told = use_models(person.folder, person.drive.mydrive / "AI", person.said.append)
    assert told == "AI: 2 LoRAs and 1 checkpoint, used where they are, without a second copy"
    assert Remembered.read(person.folder.kept).model_folders == ("AI",)
    assert person.lists("LoRA") == ["a", "b"]


def test_a_folder_without_models_is_refused_and_not_noted(person: Person) -> None:
    person.has(**{"pictures/a.png": b"x", "pictures/flux.safetensors": OF_ANOTHER_PROGRAM})
    with pytest.raises(Problem, match="pictures on your Drive holds no models that AUTOMATIC1111 can use"):
        use_models(person.folder, person.drive.mydrive / "pictures", person.said.append)
    assert Remembered.read(person.folder.kept).model_folders == ()


@pytest.mark.parametrize("name", ["asd1111", f"{KEPT}/models/Stable-diffusion/own.safetensors", KEPT])
def test_the_web_uis_own_folder_is_not_used_twice(person: Person, name: str) -> None:
    person.has(**{f"{KEPT}/models/Stable-diffusion/own.safetensors": CHECKPOINT})
    told = use_models(person.folder, person.drive.mydrive / name, person.said.append)
    assert told == f"{name} is in the web UI's folder already"
    assert Remembered.read(person.folder.kept).model_folders == ()
    assert (person.folder.data / "models").is_symlink()


def test_a_shortcut_to_a_shared_drive_is_followed_and_one_off_drive_is_not(person: Person, tmp_path: Path) -> None:
    shared = person.drive.behind / "Shareddrives" / "Team" / "models"
    shared.mkdir(parents=True)
    (shared / "team.safetensors").write_bytes(CHECKPOINT)
    (tmp_path / "secret.safetensors").write_bytes(CHECKPOINT)
    (person.drive.behind / "MyDrive" / "team").symlink_to(person.drive.mountpoint / "Shareddrives" / "Team")
    person.has(**{"AI/x.safetensors": CHECKPOINT})
    (person.drive.behind / "MyDrive" / "AI" / "out.safetensors").symlink_to(tmp_path / "secret.safetensors")
    person.uses("team", "AI")
    assert person.lists("checkpoint") == ["models_team", "x"]


def test_with_models_not_kept_those_on_drive_are_listed_all_the_same(drive: MountedDrive) -> None:
    person = Person(drive, models_kept=False)
    person.has(**{f"{KEPT}/models/Stable-diffusion/own.safetensors": CHECKPOINT, "AI/l.safetensors": LORA_FILE})
    person.has(**{f"{KEPT}/models/Lora/o.safetensors": LORA_FILE})
    (person.folder.models / "Lora").mkdir()
    (person.folder.models / "Lora" / "here.safetensors").write_bytes(LORA_FILE)
    person.uses("AI")
    assert (person.lists("checkpoint"), person.lists("LoRA")) == (["own"], ["here", "l", "o"])
    (person.folder.data / "models" / "Lora" / "here.png").write_bytes(b"preview")
    person.sync.poll(settled=0)
    assert person.on_drive(f"{KEPT}/models/Lora") == ["o.safetensors"], "models were not to be kept"


def test_a_machine_whose_models_were_kept_can_be_used_without_keeping_them(drive: MountedDrive) -> None:
    person = Person(drive)
    person.has(**{"AI/l.safetensors": LORA_FILE})
    person.uses("AI")
    (person.folder.data / "models" / "Lora" / "l.png").write_bytes(b"preview")
    other = Folder(person.folder.kept, person.folder.machine, False, drive.mydrive)
    other.prepare()
    link_models(other, person.said.append)
    assert os.readlink(other.data / "models") == str(other.models)
    assert [path.read_bytes() for path in other.machine.glob("models-*/Lora/l.png")] == [b"preview"]


def test_a_file_that_drive_keeps_back_is_said_and_hides_no_other(person: Person) -> None:
    person.has(**{"AI/x.safetensors": CHECKPOINT, "AI/lost.safetensors": CHECKPOINT})
    person.drive.manners(keeps_back="lost")
    person.uses("AI")
    assert person.lists("checkpoint") == ["x"]
    assert person.said == ["AI/lost.safetensors on your Drive cannot be read and was left out."]


@pytest.mark.parametrize(
    ("kept", "data"),
    [
        ("asd1111/stable-diffusion-webui", "asd1111"),
        ("StableDiffusion", "StableDiffusion"),
        ("stable-diffusion-webui", "stable-diffusion-webui"),
        ("AI/web/stable-diffusion-webui", "AI__web"),
        ("AI/web", "AI__web"),
    ],
)
def test_a_web_ui_is_kept_wherever_it_lies(drive: MountedDrive, kept: str, data: str) -> None:
    (drive.behind / "MyDrive" / kept / "models" / "Stable-diffusion").mkdir(parents=True)
    person = Person(drive, kept)
    assert person.folder.data == person.folder.machine / "data" / data
    (person.folder.data / "config.json").write_text("{}")
    person.sync.poll(settled=0)
    assert person.on_drive() == [f"{kept}/config.json"]
    assert [path.name for path in (drive.behind / "MyDrive").iterdir()] == [kept.partition("/")[0]]


def test_a_folder_that_cannot_be_used_is_named_wherever_it_lies(drive: MountedDrive) -> None:
    (drive.behind / "MyDrive" / "AI").mkdir()
    (drive.behind / "MyDrive" / "AI" / "web").write_text("a file")
    with pytest.raises(Problem, match="AI/web on your Drive is a file, but the launcher needs a folder"):
        Person(drive, "AI/web")
    (drive.behind / "MyDrive" / "StableDiffusion").mkdir()
    drive.manners(read_only="/MyDrive/")
    with pytest.raises(Problem, match="StableDiffusion on your Drive is read-only"):
        Person(drive, "StableDiffusion")


def test_what_is_linked_side_by_side_is_all_there(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.has(**{"AI/elsewhere.safetensors": CHECKPOINT})
    person.uses("AI")
    looked, may_go_on, add = threading.Event(), threading.Event(), linked.add_link

    def slow(tree: linked.Tree, name: str, path: Path) -> None:
        add(tree, name, path)
        if not looked.is_set():
            looked.set()
            may_go_on.wait(0.5)  # no longer: those after it may have to wait for it

    monkeypatch.setattr(linked, "add_link", slow)
    first = threading.Thread(target=link_new_models, args=(person.folder,))
    first.start()
    looked.wait(10)
    person.has(**{f"{KEPT}/models/Stable-diffusion/new.safetensors": CHECKPOINT})
    link_new_models(person.folder)
    may_go_on.set()
    first.join()
    assert person.lists("checkpoint") == ["elsewhere", "new"]


def test_a_model_that_arrives_whole_later_is_listed_then(person: Person) -> None:
    for content, listed in ((CHECKPOINT[:9], []), (CHECKPOINT, ["late"])):
        person.has(**{"AI/late.safetensors": content})
        os.utime(person.drive.behind / "MyDrive/AI/late.safetensors", (1e9, 1e9))  # as of the file it was made of
        person.uses("AI")
        assert person.lists("checkpoint") == listed
