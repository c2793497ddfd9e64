"""A second day on which Drive gives back nothing as it was: the launch runs, says so, and mends what is on Drive."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.conftest import COLAB_PYTHON
from tests.whole.faults import plain
from tests.world import MODEL_LINK, World
from tests.world.githost import git, opened
from tests.world.kernel import Kernel, cell_source
from tests.world.place import Place, wait_ready

# Run by the web UI's Python: ENVIRONMENT ZIP. The bytecode has the right hash of its source, and ends every start.
FORGE = """
import diskcache, importlib.util, marshal, os, sys, zipfile
source = diskcache.__file__
about = importlib.util.source_hash(open(source, "rb").read())
code = marshal.dumps(compile("raise SystemExit('bytecode from Drive')", source, "exec"))
name = os.path.relpath(importlib.util.cache_from_source(source), sys.argv[1])
with zipfile.ZipFile(sys.argv[2], "w") as made:
    made.writestr(name, importlib.util.MAGIC_NUMBER + (3).to_bytes(4, "little") + about + code)
"""
STYLES = "name;prompt;negative_prompt\nGrün;ein Blümchen;\n".encode("cp1252")
SENTENCES = (
    "The copy of stable-diffusion-webui on Google Drive was damaged: it is replaced.",
    "versions.json on your Drive was damaged.",
    "Damaged files on your Drive were set aside: huggingface/…/vocab.json (now damaged/vocab.broken-",
    "styles.csv was not as the web UI reads it, and was converted.",
    "The web UI's setting outdir_txt2img_samples led to",
    "The web UI did not start with the defaults of its page (ui-config.json).",
    "The web UI did not start with the compiled files kept on your Drive.",
)


COMES_AND_GOES = shutil.ignore_patterns(".tmp*")  # of the uv of another test


def without_bytecode(made: Path, of: str) -> Path:
    """uv's packages without what the tests have compiled of one, as everybody else has them."""
    shutil.copytree(os.environ["UV_CACHE_DIR"], made, symlinks=True, copy_function=os.link, ignore=COMES_AND_GOES)
    for compiled in made.glob(f"archive-v0/*/{of}/__pycache__"):
        shutil.rmtree(compiled)
    return made


def garble(place: Place) -> None:
    kept, python = place.kept, place.machine / "oneclick" / "python"
    subprocess.run([python / "bin" / "python", "-c", FORGE, python, kept / "oneclick-bytecode.zip"], check=True)
    bundle = kept / ".source" / "commits.bundle"
    bundle.write_bytes(bundle.read_bytes()[:1000])
    (kept / "versions.json").unlink()
    (kept / "versions.json").mkdir()
    next(kept.glob("huggingface/**/vocab.json")).write_bytes(b"")
    (kept / "styles.csv").write_bytes(STYLES)
    leads = {"outdir_txt2img_samples": str(place.session), "outdir_grids": "../session"}
    (kept / "config.json").write_text(json.dumps(leads))
    settings = json.loads((kept / "ui-config.json").read_text())
    (kept / "ui-config.json").write_text(json.dumps(settings | {"txt2img/Seed/value": [1]}))


def secrets_on(drive: Path, session: Path) -> str:
    """The files on Drive with the password or a key of the door, found by a program that has no part in it."""
    login = json.loads((session / "login.json").read_text())
    secrets = [value for value in login.values() if isinstance(value, str) and len(value) > 8]
    assert secrets
    patterns = [argument for secret in secrets for argument in ("-e", secret)]
    command = ["grep", "-r", "-l", "-a", "-F", *patterns, str(drive)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def test_a_launch_with_garbled_files_runs_and_mends_them(
    world: World, kernels: Callable[..., Kernel], tmp_path: Path
) -> None:
    with Place(world, tmp_path) as place:
        place.environment["UV_CACHE_DIR"] = str(without_bytecode(tmp_path / "cache", "diskcache"))
        kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
        kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
        wait_ready(kernel)
        words, needed = "huggingface/**/vocab.json", ("versions.json", "oneclick-hub.json", "ui-config.json")
        kernel.wait(lambda: all((place.kept / name).exists() for name in needed), 60, "the files of the first day")
        kernel.kill()
        place.end_processes()
        garble(place)
        place.lose_machine()
        kernel = kernels(COLAB_PYTHON, place.environment, place.machine)
        kernel.start(cell_source("launch", checkpoint=MODEL_LINK))
        wait_ready(kernel)
        for sentence in SENTENCES:
            kernel.wait(lambda said=sentence: said in plain(kernel.html()), 30, sentence)
        kernel.wait((place.kept / "versions.json").is_file, 60, "the version to be noted")
        kernel.wait(lambda: list(place.kept.glob(words)), 60, "CLIP's words to be kept")
        kernel.wait((place.kept / "ui-config.json").exists, 60, "the page's defaults to be kept")
        (place.data / "outputs" / "last").mkdir(parents=True)
        (place.data / "outputs" / "last" / "1.png").write_bytes(b"image")
        kernel.wait((place.kept / "outputs" / "last" / "1.png").exists, 60, "a look at all files")
        assert secrets_on(place.google, place.session) == ""
        assert git("fsck", "--strict", at=opened(place.kept)) == ""
        assert next(place.kept.glob(words)).read_bytes() == b"{}"
        assert json.loads((place.kept / "ui-config.json").read_text())["txt2img/Seed/value"] == -1.0
        assert (place.kept / "styles.csv").read_text().splitlines()[1] == "Grün,ein Blümchen,"
        assert next(place.kept.glob("styles.before-*")).read_bytes() == STYLES
        assert not (place.kept / "oneclick-bytecode.zip").exists()
