"""CI takes its commands from the README: a command that is not there, fails, or leaves something running is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.world.wait import wait


def what_ci_says(tmp_path: Path, block: str) -> tuple[int, str]:
    readme = tmp_path / "README.md"
    readme.write_text(
        f"# A title\n```\nmake nothing-of-this\n```\n## For developers\nTwo commands:\n\n{block}\n## "
        "Next\n```\nx\n```\n"
    )
    command = [sys.executable, "tests/programs/readme.py", str(readme)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("No block.\n", 'The README has no command under "For developers".'),
        ("```\n# only a comment\n```\n", 'The README has no command under "For developers".'),
        ("```\nmake start-it    # renamed\n```\n", "README command `make start-it`: it ended with exit code 2"),
        ("```\necho all is well\n```\n", "No command of the README printed a link."),
        ("```\necho Ctrl-C ends it.; sleep 50\n```\n", "instead of a link, user, password"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_command_is_said(tmp_path: Path, block: str, says: str) -> None:
    code, text = what_ci_says(tmp_path, block)
    assert (code, says in text) == (1, True), text


def running() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


def test_what_a_command_leaves_running_is_said_and_ended(tmp_path: Path) -> None:
    code, text = what_ci_says(tmp_path, "```\n(setsid sleep 987 &) ; true\n```\n")
    assert (code, "it left running: sleep 987" in text) == (1, True), text
    wait(lambda: "sleep 987" not in running(), 20, "it to end")


def test_the_commands_run_with_an_empty_home(tmp_path: Path) -> None:
    _, text = what_ci_says(tmp_path, "```\nls -A ~ | wc -l; echo ~\n```\n")
    assert text.splitlines()[2] == "0"
    assert text.splitlines()[3] != str(Path.home())
