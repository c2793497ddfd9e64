"""What a person writes in Add is cut into what it asks for, and told by its content."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.core.problem import Problem
from launcher.extensions.address import KNOWN_EXTENSIONS, Address
from launcher.models.catalog import MODELS, Model
from launcher.models.remote import Offered
from launcher.service.understand import items_in, understood

FILE = "https://huggingface.co/a/b/blob/main/c.safetensors"
PAGE = "https://civitai.com/models/1"
KNOWN = ("dreamshaper", "adetailer", "controlnet canny, depth", "AI/old, new")


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("dreamshaper", ["dreamshaper"]),
        ("dreamshaper, adetailer", ["dreamshaper", "adetailer"]),
        ("dreamshaper\n\nadetailer\r\n", ["dreamshaper", "adetailer"]),
        ("dreamshaper，adetailer；x、y", ["dreamshaper", "adetailer", "x", "y"]),
        ("Realistic Vision 5.1, SDXL Lightning (4 steps)", ["Realistic Vision 5.1", "SDXL Lightning (4 steps"]),
        ("- dreamshaper\n* adetailer\n1. x\n2) “y”", ["dreamshaper", "adetailer", "x", "y"]),
        ("controlnet canny, depth", ["controlnet canny, depth"]),
        ("dreamshaper and adetailer & x", ["dreamshaper and adetailer & x"]),
        ("dreamshaper and adetailer", ["dreamshaper", "adetailer"]),
        ("AI/old, new", ["AI/old, new"]),
        (f"{FILE} {PAGE}", [FILE, PAGE]),
        (f"{FILE},{PAGE};urn:air:sd1:lora:civitai:3@7", [FILE, PAGE, "urn:air:sd1:lora:civitai:3@7"]),
        (f"{PAGE} {PAGE}\n{PAGE}", [PAGE]),
        (f"see <{FILE}>, it is good!", [FILE]),
        (f"dreamshaper {PAGE} adetailer", ["dreamshaper", PAGE, "adetailer"]),
        (f"[the model]({FILE}) and more", [FILE]),
        ("civitai:3@7", ["civitai:3@7"]),
        (
            "https://huggingface.co/own/loras/blob/main/LORA/Line Art.safetensors",
            ["https://huggingface.co/own/loras/blob/main/LORA/Line%20Art.safetensors"],
        ),
        (
            "https://example.com/my model (v 2).ckpt?x=1 https://example.com/b.pt",
            ["https://example.com/my%20model%20(v%202).ckpt?x=1", "https://example.com/b.pt"],
        ),
        (
            "https://huggingface.co/own/loras/tree/main/My Loras",
            ["https://huggingface.co/own/loras/tree/main/My%20Loras"],
        ),
        ("https://hf.co/own/loras#LORA/Line Art.pt", ["https://hf.co/own/loras#LORA/Line%20Art.pt"]),
        (f"{PAGE} b.safetensors", [PAGE]),
        (f"{FILE} other.safetensors", [FILE]),
        (f"wget -c \\\n  {FILE} \\\n  -O x", [FILE]),
        (f"{FILE}\\\n{PAGE}\\", [FILE, PAGE]),
        ("https://huggingface.co/a/b/blob/\\\nmain/c.safetensors", [FILE]),
        (f"git clone {PAGE}", [PAGE]),
        ("!git clone git@github.com:o/n.git", ["git@github.com:o/n.git"]),
        ("AIR civitai: 3 @ 7", ["civitai:3@7"]),
        ("sdxl:lora:civitai:3@7+9", ["sdxl:lora:civitai:3@7+9"]),
        (f"[dreamshaper]({PAGE})", [PAGE]),
        (f'<a href="{PAGE}">dreamshaper</a>', [PAGE]),
        (f"{PAGE}{FILE}", [PAGE, FILE]),
        (f"**{FILE}**🔥", [FILE]),
        (f"《{FILE}》", [FILE]),
        ("hf download a/b c.safetensors", [FILE]),
        (f"https://www.google.com/url?q={quote(FILE, safe='')}&sa=D", [FILE]),
        (f"\u200b{PAGE}\u200b\n\ufeffdreamshaper\u00a0", [PAGE, "dreamshaper"]),
        ("dreamshaper\tadetailer", ["dreamshaper", "adetailer"]),
        ("", []),
        (" \n, ;\n", []),
    ],
)
def test_a_text_is_cut_into_what_it_asks_for(text: str, items: list[str]) -> None:
    assert items_in(text, KNOWN.__contains__) == items


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """My Drive with a folder of models."""
    drive = tmp_path / "MyDrive"
    (drive / "AI" / "models").mkdir(parents=True)
    (drive / "AI" / "models" / "x.safetensors").write_bytes(b"x")
    (drive / "StableDiffusion").mkdir()
    (drive / "mine.safetensors").write_bytes(b"x")
    return drive


def in_words(thing: object, drive: Path) -> str:
    """A thing as the tables below write it."""
    match thing:
        case Model():
            return f"model {thing.name}"
        case Address():
            return f"extension {thing.url}"
        case Path():
            return f"place {thing.relative_to(drive)}"
        case Offered():
            return f"offered {', '.join(text for _, text in thing.options)}"
        case Problem():
            return f"said {thing.what}"
    return f"link {thing}"


def meanings(text: str, drive: Path, *, git_first: bool = False) -> list[str]:
    return [in_words(thing, drive) for _, thing in understood(text, drive, git_first=git_first)]


ADETAILER = "extension https://github.com/Bing-su/adetailer.git"
CONTROLNET = "extension https://github.com/Mikubill/sd-webui-controlnet.git"
CANNY, DEPTH = (f"model ControlNet {name} for Stable Diffusion 1.5" for name in ("canny", "depth"))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("DreamShaper 8", ["model DreamShaper 8"]),
        ("dreamshaper", ["model DreamShaper 8"]),
        ("DreamShapr", ["model DreamShaper 8"]),
        ("realistc vison", ["model Realistic Vision 5.1"]),
        ("ultrasharp", ["model 4x-UltraSharp"]),
        ("DreamShaper_8_pruned.safetensors", ["model DreamShaper 8"]),
        ("adetailer", [ADETAILER]),
        ("tagcomplete", [f"extension {KNOWN_EXTENSIONS['Tag completion']}"]),
        ("controlnet canny", [CONTROLNET, CANNY]),
        ("ControlNet: cany, depth for SD 1.5", [CONTROLNET, CANNY, DEPTH]),
        ("controlnet canny xl", [CONTROLNET, "model ControlNet union ProMax for Stable Diffusion XL"]),
        ("controlnet hed", [CONTROLNET, "model ControlNet hed for Stable Diffusion 2.1"]),
        ("AI/models, dreamshaper", ["place AI/models", "model DreamShaper 8"]),
        ("a1111-sd-webui-tagcomplete", [f"extension {KNOWN_EXTENSIONS['Tag completion']}"]),
        ("controlnet canny, dreamshaper", [CONTROLNET, CANNY, "model DreamShaper 8"]),
        ("controlnet hed xl", ["said There is no ControlNet model 'hed' for Stable Diffusion XL."]),
        (FILE, [f"link {FILE}"]),
        (FILE.removeprefix("https://"), [f"link {FILE}"]),
        ("https://huggingface.co/world/paint", ["link https://huggingface.co/world/paint"]),
        ("git@hf.co:world/paint.git", ["link https://hf.co/world/paint"]),
        ("https://huggingface.co/world/paint.git", ["link https://huggingface.co/world/paint"]),
        ("urn:air:sdxl:lora:civitai:123@456", ["link urn:air:sdxl:lora:civitai:123@456"]),
        ("civitai:3@7", ["link civitai:3@7"]),
        ("https://github.com/Bing-su/adetailer", [ADETAILER]),
        ("github.com/Bing-su/adetailer/tree/main/scripts", ["extension https://github.com/Bing-su/adetailer.git"]),
        ("git@github.com:Bing-su/adetailer.git", [ADETAILER]),
        ("git clone https://github.com/Bing-su/adetailer", [ADETAILER]),
        ("HTTPS://www.GitHub.com/Bing-su/adetailer/archive/refs/heads/main.zip", [ADETAILER]),
        ("https://gitlab.com/group/below/name/-/tree/main", ["extension https://gitlab.com/group/below/name.git"]),
        ("git://github.com/Bing-su/adetailer.git", [ADETAILER]),
        ("https://github.com/a/b/files/3/x.zip", ["link https://github.com/a/b/files/3/x.zip"]),
        ("wget https://example.com/d/1 -O x.safetensors", ["link https://example.com/d/1"]),
        ("https://git.example.com/o/n.git", ["extension https://git.example.com/o/n.git"]),
        ("https://github.com/a/b/releases/download/v1/x.pth", ["link https://github.com/a/b/releases/download/v1/x.pth"]),
        ("https://github.com/a/b/blob/main/x.pth", ["link https://github.com/a/b/blob/main/x.pth"]),
        ("AI/models", ["place AI/models"]),
        ("MyDrive/AI/models/x.safetensors", ["place AI/models/x.safetensors"]),
        ("/content/drive/MyDrive/AI/models", ["place AI/models"]),
        ("G:\\My Drive\\AI\\models", ["place AI/models"]),
        ("G:\\Meine Ablage\\AI\\models", ["place AI/models"]),
        ("G:\\マイドライブ\\AI\\models", ["place AI/models"]),
        ("StableDiffusion", ["place StableDiffusion"]),
        ("mine.safetensors", ["place mine.safetensors"]),
    ],
)  # fmt: skip
def test_a_text_means_what_it_says_whatever_the_box(text: str, meant: list[str], drive: Path) -> None:
    assert meanings(text, drive) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("dreamshaper 7", "offered DreamShaper 8"),
        ("vae", "offered VAE ft-MSE, SDXL VAE fp16-fix"),
        ("lora", "offered LoRA block weight"),
        ("dream shaper xl", "offered DreamShaper 8"),
        ("upscaler", "offered Tiled diffusion"),
        ("openpose", "offered ControlNet openpose, OpenPose editor"),
        ("owner/name", "offered https://huggingface.co/owner/name, https://github.com/owner/name"),
        ("MyDrive/AI/modls", "offered MyDrive/AI/models"),
        ("C:\\Users\\me\\x.safetensors", r"said C:\\Users\\me\\x.safetensors is on your own computer"),
        ("/content/x.safetensors", "said /content/x.safetensors is not on your Drive."),
        ("Shared drives/Team/models", "said Shared drives/Team/models is on a shared drive."),
        ("other.safetensors", r"said There is no file \*\*other.safetensors\*\* at the top of your Drive."),
        ("embeddings/easy.pt", r"said There is no file \*\*embeddings/easy.pt\*\* on your Drive."),
        ("models/Stable-diffusion/model.safetensors", r"said There is no file \*\*models/Stable-diffusion/model.safe"),
        ("MyDrive/../../etc", "said There is no MyDrive/../../etc on your Drive."),
        ("xyzzy", r"said Nothing is called \*\*xyzzy\*\*"),
        ("https://me:secret@github.com/o/n", "said The address has a user name or a password in it"),
    ],
)
def test_what_nobody_can_be_sure_of_is_offered_or_said(text: str, meant: str, drive: Path) -> None:
    (found,) = meanings(text, drive)
    assert found.startswith(meant.replace("\\\\", "\\").replace(r"\*", "*"))


@pytest.mark.parametrize("text", ["MyDrive/models/new.pt", "models/new.safetensors", "my loras", "AI/loras"])
def test_of_what_drive_does_not_show_yet_that_is_said(text: str, drive: Path) -> None:
    for place, said in ((drive, True), (drive.with_name("kept"), False)):
        ((_, problem),) = understood(text, place)
        assert isinstance(problem, Problem)
        assert ("Colab may see only in a few minutes" in problem.do) == said


def test_an_address_nobody_knows_is_an_extensions_in_the_cell_for_extensions_only(drive: Path) -> None:
    address = "https://git.example.com/o/n"
    assert meanings(address, drive) == [f"link {address}"]
    assert meanings(address, drive, git_first=True) == [f"extension {address}.git"]
    for link in (PAGE, FILE, "https://huggingface.co/world/paint", "https://example.com/x.safetensors"):
        assert meanings(link, drive, git_first=True) == [f"link {link}"]


def test_a_secret_is_in_no_title(drive: Path) -> None:
    for text in ("https://me:tok3n@github.com/o/n", "me:tok3n@github.com/o/n", "https://e.com/a b.pt?token=tok3n"):
        assert "tok3n" not in " ".join(title for title, _ in understood(text, drive))


def test_an_empty_text_and_one_without_end_are_answered_kindly(drive: Path) -> None:
    too_much = (
        "x" * 30_000,
        "x," * 300,
        "x\n" * 300,
        "https://e.com/a " + " ".join(f"https://e.com/{n}" for n in range(300)),
    )
    for text, says in ((" \n", "Nothing was written here yet."), *((text, "too much at once") for text in too_much)):
        with pytest.raises(Problem, match=says):
            understood(text, drive)


WRITTEN = st.text(st.sampled_from("aA8/\\.,: \n@%?#<>-_\u3000é猫") | st.characters(), max_size=60)
PIECES = st.sampled_from(
    ["https://", "urn:air:", "civitai:3", "controlnet ", "MyDrive/", "..", ".safetensors", "git@", "xl"]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(WRITTEN | PIECES, max_size=6))
def test_whatever_is_written_means_something_or_is_said(pieces: list[str]) -> None:
    try:
        found = understood("".join(pieces), Path("/nowhere/MyDrive"))
    except Problem:
        return
    assert all(isinstance(thing, Model | Address | str | Problem) for _, thing in found)


def test_every_name_that_is_shown_means_just_that(drive: Path) -> None:
    for model in MODELS:
        assert meanings(model.name, drive) == [f"model {model.name}"]
    for name, url in KNOWN_EXTENSIONS.items():
        assert meanings(name, drive)[0] == f"extension {url}"
