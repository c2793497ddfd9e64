"""A newer launcher is said once, and a GitHub that does not say so costs nothing."""

import pytest

from launcher import BRANCH, COLAB_LINK, OWNER, REPOSITORY, __version__
from launcher.core.status import Status
from launcher.launch.story import say_if_newer
from tests.world import World
from tests.world.githost import git

NAME = f"{OWNER}/{REPOSITORY}"


@pytest.fixture
def github(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """git in this process finds the world's GitHub."""
    for name, value in world.git.environment().items():
        monkeypatch.setenv(name, value)
    return world


def told(world: World, text: str | None) -> tuple[str, ...]:
    """What is said with that file on the branch."""
    if text is not None:
        world.git.add(NAME, {"launcher/__init__.py": text.encode()})
        git("branch", "--force", BRANCH, "master", at=world.git.root / f"{NAME}.git")
    status = Status("A test")
    say_if_newer(status)
    return status.now.notices


@pytest.mark.parametrize("newer", ["2.10.0", "3.0", "2.0.0.1"])
def test_a_newer_one_is_said_with_the_link_and_one_question(github: World, newer: str) -> None:
    (notice,) = told(github, f'"""x"""\n\n__version__ = "{newer}"  # x\n')
    assert f"Version {newer} of the launcher is there; this one is {__version__}." in notice
    assert COLAB_LINK in notice
    assert [line for line in github.git.log if NAME in line] == [f"GET {NAME} raw"]


@pytest.mark.parametrize(
    "text",
    [f'__version__ = "{__version__}"', '__version__ = "0.9"', '__version__ = "9.<b>x</b>"', "", "<html>404</html>",
     '__version__ = "99999999.1"', "#" * 30_000 + '\n__version__ = "9.9"\n', None],
)  # fmt: skip
def test_nothing_is_said_of_the_same_of_an_older_and_of_nonsense(github: World, text: str | None) -> None:
    assert told(github, text) == ()


def test_nothing_is_said_where_github_is_down_or_not_there(github: World, monkeypatch: pytest.MonkeyPatch) -> None:
    github.git.down = True
    assert told(github, '__version__ = "9.9"') == ()
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "url.http://127.0.0.1:9/.insteadOf")
    assert told(github, None) == ()
