"""docs/dev/contributing.md is true: its walks, taken word for word on a copy of the repository, lead where it says."""

import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.conftest import COLAB_PYTHON, CURRENT_PYTHON, ROOT, SERVER_PYTHON
from tests.docs import names

PAGE = (ROOT / "docs" / "dev" / "contributing.md").read_text()
ENVIRONMENTS = (CURRENT_PYTHON, COLAB_PYTHON, SERVER_PYTHON)
BLOCK = re.compile(r"(?ms)^( *)```(\w*)\n(.*?)^ *```$")
WALKS = ("A model for the list", "A place models come from", "A tunnel", "A choice")
PYTEST = ".venv/bin/python -m pytest "

pytestmark = pytest.mark.xdist_group("walks of CONTRIBUTING")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository as a fresh clone of this working tree would be, after all walks on it, whose commands are run
    once: what is made from the code, and one run of all tests that are named.
    """
    repository = tmp_path_factory.mktemp("clone") / "repository"
    for path in names.files():
        place = repository / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    for python in ENVIRONMENTS:
        (repository / python.relative_to(ROOT).parts[0]).symlink_to(python.parents[1])
    (repository / ".cache").symlink_to(ROOT / ".cache")
    commands = [command for walk in WALKS for step in steps_of(walk) for command in follow(step, repository)]
    tests = [command.removeprefix(PYTEST) for command in commands if command.startswith(PYTEST)]
    for command in (
        *("git init --quiet", "git add --all"),
        *dict.fromkeys(command for command in commands if not command.startswith(PYTEST)),
        *(f".venv/bin/python -m ruff {check} launcher tests" for check in ("check", "format --check")),
        PYTEST + " ".join(named for named in tests if " -k " not in named),
        *(PYTEST + named for named in tests if " -k " in named),
    ):
        done = run(command, repository)
        assert done.returncode == 0, f"`{command}`\n{done.stdout}{done.stderr}"
    return repository


def steps_of(title: str) -> list[str]:
    """The numbered steps of a walk."""
    section = PAGE.partition(f"\n### {title}\n")[2].partition("\n##")[0]
    steps = re.split(r"(?m)^\d+\. ", section)[1:]
    assert steps, f"docs/dev/contributing.md has no walk {title!r}"
    return steps


def follow(step: str, repository: Path) -> list[str]:
    """Change what the blocks of a step show; return the commands in them."""
    commands = []
    for indent, language, block in BLOCK.findall(step):
        text = "".join(line.removeprefix(indent) for line in block.splitlines(keepends=True))
        if language == "diff":
            change(repository / file_of(step), text)
        elif language:
            path = repository / file_of(step)
            assert not path.exists(), f"{path.name} is there already"
            path.write_text(text)
        else:
            commands += text.splitlines()
    return commands


def file_of(step: str) -> str:
    """The file a step begins with: a path, or a folder and a name."""
    named: list[str] = re.findall(r"`([^`]+)`", step)
    return "".join(named[:2]) if named[0].endswith("/") else named[0]


def change(path: Path, shown: str) -> None:
    """Change a file as a block shows it: a sign, then the line."""
    lines = shown.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] in " -")
    after = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text()
    assert text.count(before) == 1, f"{path.name} has {text.count(before)} times:\n{before}"
    path.write_text(text.replace(before, after))


def run(command: str, repository: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """A command line in that repository. The environments are those of this one and stay as they are."""
    ours = ("PYTEST", "PYTHON", "GIT_", "MAKE", "MFLAGS")  # what pytest and `make test` tell their children
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    as_set_up = re.sub(r"^make ", "make --old-file=setup ", command)
    return subprocess.run(
        ["bash", "-c", as_set_up], cwd=repository, env=inherited | more, capture_output=True, text=True, check=False,
        timeout=1800,  # the whole walk was 380 s beside four busy loops and five people's work: this ends what hangs
    )  # fmt: skip


def told(script: str, repository: Path, **more: str) -> object:
    """What a script says about the launcher of that repository."""
    path = repository.parent / "script.py"
    path.write_text(textwrap.dedent(script))
    done = run(f".venv/bin/python {path}", repository, PYTHONPATH=str(repository), **more)
    assert done.returncode == 0, done.stderr
    found: object = json.loads(done.stdout.splitlines()[-1])
    return found


def text_of_cell(repository: Path, identity: str) -> str:
    """The text of a cell of that repository's notebook."""
    notebook = json.loads((repository / "OneClickLauncher.ipynb").read_text())
    lines: list[str] = next(cell["source"] for cell in notebook["cells"] if cell["id"] == identity)
    return "".join(lines)


def test_a_model_is_an_entry_and_is_offered_and_has_its_row(walked: Path) -> None:
    for identity, field in (("launch", "checkpoint"), ("add-model", "what")):
        assert re.search(rf'(?m)^{field} = .*"Example 1\.0"', text_of_cell(walked, identity))
    assert "| Example 1.0 | SD 1.5 | portraits in oil | 2.13 GB | CreativeML Open RAIL-M | [OWNER/example]" in (
        (walked / "docs" / "models.md").read_text()
    )


RESOLVE = """
    import json
    from launcher.models.sources import resolve_link
    from launcher.models.sources import example
    from tests.world.web import Web

    web = Web()
    web.answer = lambda path, headers: (200, {}, bytes(5000)) if path == "/a-model.safetensors" else (404, {}, b"")
    example.FILES = web.url
    remote = resolve_link("look: https://models.example/a-model", "")
    print(json.dumps({"url": remote.url.removeprefix(web.url), "name": remote.name, "size": remote.size}))
    web.close()
"""


def test_a_link_source_is_a_file_and_a_line_and_its_links_lead_to_its_files(walked: Path) -> None:
    leads_to = "`https://files.models.example/a-model.safetensors` as `a-model.safetensors`."
    assert f"| `https://models.example/a-model` |  | {leads_to} |" in (walked / "docs" / "links.md").read_text()
    found = told(RESOLVE, walked, NO_PROXY="127.0.0.1")
    assert found == {"url": "/a-model.safetensors", "name": "a-model.safetensors", "size": 5000}


OFFERED = """
    import json
    from launcher.core.fields import FIELDS

    print(json.dumps([[field.choices, field.about] for field in FIELDS if field.name == "link"]))
"""
OPEN = """
    import json, sys
    from pathlib import Path
    from launcher.access.link import PublicLink
    from launcher.colab.machine import Machine
    from launcher.core.fields import Settings
    from launcher.models.catalog import CHECKPOINT_NAMES
    from tests.conftest import new_folder
    from tests.world.heard import Heard

    place, found = Path(__file__).parent / "place", {}
    place.mkdir()
    folder, machine = new_folder(place), Machine(True, place, gpu="", memory=0, mountpoint=None)
    for wanted in ("automatic", "example"):
        chosen = Settings.from_form({"link": wanted}, CHECKPOINT_NAMES).link
        way, heard = PublicLink(folder, machine, chosen, lambda port: "https://colabs.own"), Heard()
        try:
            url = way.open(False, heard)
            found[wanted] = [way.answers(), way.tunnel.part.said.get("kind"), *heard.notices]
        finally:
            way.close()
    print(json.dumps(found))
"""


def test_a_tunnel_is_a_file_and_a_word_and_is_offered_and_tried(walked: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("cloudflared", "exit 1"), ("example-tunnel", 'echo "http://$1"; exec sleep 120')):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o700)
    about = (
        "How the web UI is reached. **automatic** tries gradio, then cloudflared, then example, then Colab's own link."
    )
    assert told(OFFERED, walked) == [[["automatic", "gradio", "cloudflared", "example", "Colab's own", "none"], about]]
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    found = told(OPEN, walked, PATH=path, GRADIO_SHARE_SERVER_ADDRESS="127.0.0.1:1", NO_PROXY="127.0.0.1")
    gradio_gave_none = "gradio's share server gave no link: it refused the connection."
    assert found == {
        "automatic": [True, "example", f"{gradio_gave_none} Example's tunnel is used instead."],
        "example": [True, "example"],
    }


READ = """
    import json
    from launcher.colab.machine import look_at_machine
    from launcher.core.status import Status
    from launcher.launch.launch import Launch
    from launcher.launch.remember import to_remember
    from launcher.launch.start import plan_of
    from launcher.access.pages import choices_form

    found = {}
    for name, choices in (("as it comes", {}), ("ticked", {"dark_theme": True})):
        launch = Launch(choices, look_at_machine(), Status("Starting"), lambda kind: {})
        offered = "Show the web UI in dark colours." in choices_form(launch.settings.as_form())
        found[name] = [offered, to_remember(launch.settings), "--theme" in plan_of(launch, "").arguments]
    print(json.dumps(found))
"""


def test_a_choice_is_a_row_and_is_offered_and_is_used_and_remembered(walked: Path) -> None:
    assert told(READ, walked) == {"as it comes": [True, {}, False], "ticked": [True, {"dark_theme": True}, True]}


def test_the_page_names_every_folder_of_tests_and_every_target_of_make() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if (path / "__init__.py").exists()}
    assert {name for name in folders - names.PACKAGES if f"`tests/{name}/`" not in PAGE} == set()
    named = {word for name in names.code_names(PAGE) if name.startswith("make ") for word in name.split()[1:]}
    assert names.targets() - named == set()
