"""The way in as a whole: the door's process, whose version it is, and links that only a browser may ask."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from launcher.access import link as public_link
from launcher.access.link import SERVICES, PublicLink
from launcher.colab.machine import Machine
from launcher.core import process
from launcher.core.fields import AUTOMATIC, COLABS_OWN, NO_LINK
from launcher.core.problem import Problem
from launcher.core.process import PACKAGE, running_pid
from tests.conftest import new_folder
from tests.world.heard import Heard
from tests.world.tls import pass_on, serving

COLAB = "https://only-in-its-browser.example"


@pytest.fixture
def way_in(tmp_path: Path) -> Iterator[Callable[..., PublicLink]]:
    folder, made = new_folder(tmp_path), list[PublicLink]()

    def make(wanted: str = NO_LINK, private_link: Callable[[int], str] = lambda port: COLAB) -> PublicLink:
        machine = Machine(wanted != NO_LINK, tmp_path, gpu="", memory=0, mountpoint=None)
        made.append(PublicLink(folder, machine, wanted, private_link))
        return made[-1]

    yield make
    for way in made:
        way.close()


def test_a_door_of_another_version_is_opened_anew_at_the_same_place_with_the_same_login(
    way_in: Callable[..., PublicLink],
) -> None:
    old = way_in()
    url = old.open(False, Heard())
    door, login = old.session.proxy, old.login
    pid = running_pid(door.pid_file)
    assert way_in().open(True, Heard()) == url
    assert running_pid(door.pid_file) == pid, "a door of this version stays"
    door.note(port=door.port, pid=pid)  # as versions before wrote it
    assert way_in().open(True, Heard()) == url
    assert running_pid(door.pid_file) not in (0, pid)
    assert door.said["package"] == str(PACKAGE)
    assert way_in().login == login
    assert requests.get(f"{url}/robots.txt", timeout=10).ok


OPEN = """
import sys
from pathlib import Path
from launcher.access.link import PublicLink
from launcher.colab.machine import Machine
from launcher.core.fields import NO_LINK
from launcher.core.folder import Folder
from tests.world.heard import Heard
folder, machine = Folder(Path(sys.argv[1]), Path(sys.argv[2])), Machine(False, Path(sys.argv[2]), "", 0, None)
print(PublicLink(folder, machine, NO_LINK, str).open(False, Heard()))
"""


def test_the_door_opens_where_packages_are_found_by_pythonpath_only(
    way_in: Callable[..., PublicLink], tmp_path: Path
) -> None:
    """The packages of some machines lie in a folder that only the kernel's environment names."""
    python, door = str(sys._base_executable), way_in().session.proxy  # type: ignore[attr-defined]
    assert subprocess.run([python, "-c", "import aiohttp"], check=False, capture_output=True).returncode == 1
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), sysconfig.get_path("purelib")])}
    command = [python, "-c", OPEN, str(tmp_path / "drive"), str(tmp_path / "machine")]
    url = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert requests.get(f"{url}/robots.txt", timeout=10).ok
    assert running_pid(door.pid_file)


def test_why_the_door_could_not_be_opened_is_said(
    way_in: Callable[..., PublicLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, dies = process.start_detached, ["/usr/bin/env", "python3", "-c", "import none_such"]
    monkeypatch.setattr(process, "start_detached", lambda command, **places: start(dies, **places))
    with pytest.raises(Problem, match="could not be started: ModuleNotFoundError: No module named 'none_such'"):
        way_in().open(False, Heard())


@pytest.mark.parametrize(
    ("word", "other", "good"),
    [
        (b"", b"", True),
        (b"Upgrade: websocket", b"X-Upgrade: websocket", False),  # a server that passes no WebSockets on
        (b"/oneclick/alive", b"/robots.txt", False),  # one that has an answer of its own, or of an hour ago
    ],
)
def test_a_link_that_shows_pages_and_makes_no_image_does_not_count(
    way_in: Callable[..., PublicLink], word: bytes, other: bytes, good: bool
) -> None:
    port = int(way_in().open(False, Heard()).rpartition(":")[2])

    async def share_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pass_on(port, reader, writer, (word, other))

    with serving(share_server) as there:
        url = f"http://127.0.0.1:{there}"
        assert requests.get(f"{url}/robots.txt", timeout=10).ok
        assert requests.get(url, timeout=10).status_code == 401
        assert public_link.answers(url, 0) is good


def test_colabs_own_link_counts_as_well_while_the_door_answers(way_in: Callable[..., PublicLink]) -> None:
    """Colab answers everybody but the person's own browser with 403."""
    asked: list[int] = []

    def colabs_link(port: int) -> str:
        asked.append(port)
        return COLAB

    way = way_in(COLABS_OWN, colabs_link)
    way.proxy_answers_within = 1
    assert way.open(False, Heard()) == COLAB
    assert way.answers()
    assert way.open_again(Heard()) == COLAB
    for how in (signal.SIGKILL, signal.SIGSTOP):  # it died, and it hangs
        os.kill(running_pid(way.session.proxy.pid_file), how)
        assert way.open_again(Heard()) == COLAB
        assert way.answers()
    assert len(asked) == 1, "the person was asked again although the link leads to the same door"


def test_a_refused_link_of_colabs_own_is_said(way_in: Callable[..., PublicLink]) -> None:
    def refuse(port: int) -> str:
        raise Problem("Colab gave no link of its own.", "Allow cookies.")

    with pytest.raises(Problem, match=r"Colab gave no link of its own\."):
        way_in(COLABS_OWN, refuse).open(False, Heard())


def test_a_link_that_a_person_chose_and_a_quick_tunnel_get_a_minute(
    way_in: Callable[..., PublicLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def answers(url: str, patience: float) -> bool:
        waited.append(patience)
        return False

    monkeypatch.setattr(public_link, "answers", answers)
    heard = Heard()
    for wanted in (AUTOMATIC, "gradio"):
        way = way_in(wanted)
        monkeypatch.setattr(way.tunnel, "open", lambda kind, port: f"https://{kind}.example")
        if wanted == AUTOMATIC:
            assert way.open(False, heard) == COLAB
        else:
            with pytest.raises(Problem, match="gave a link that does not work"):
                way.open(False, heard)
    assert waited == [20, 60, 60]
    assert heard.notices == [
        "gradio's share server gave a link that does not work. Colab's own link is used instead: "
        "it works only in this browser and for your account."
    ]
    assert "asking Cloudflare's quick tunnel for a link" in heard.said


def test_what_is_chosen_while_a_link_is_opened_counts_for_the_next_one(
    way_in: Callable[..., PublicLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    way, heard = way_in(AUTOMATIC), Heard()

    def opened(kind: str, port: int) -> str:
        if kind == "gradio":
            way.wanted = "gradio"  # somebody presses **Apply** just now
            raise Problem("The share server gave no link.", "Wait.")
        return f"https://{kind}.example"

    monkeypatch.setattr(way.tunnel, "open", opened)
    monkeypatch.setattr(public_link, "answers", lambda url, patience: True)
    assert way.open(False, heard) == "https://cloudflared.example"


def test_a_tunnel_of_another_kind_than_was_chosen_is_ended(
    way_in: Callable[..., PublicLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    way = way_in(NO_LINK)
    port = int(way.open(False, Heard()).rpartition(":")[2])
    said: dict[str, Any] = {"url": "https://x.gradio.live", "port": port, "kind": "gradio"}
    way.tunnel.part.said_file.write_text(json.dumps(said))
    monkeypatch.setattr(type(way.tunnel), "running", property(lambda tunnel: True))
    monkeypatch.setattr(way.tunnel, "close", lambda: closed.append("closed"))
    monkeypatch.setattr(public_link, "answers", lambda url, patience: True)
    assert way.open(True, Heard()) == f"http://127.0.0.1:{port}"
    assert closed == ["closed"]
    way.wanted = "gradio"
    assert way.open(True, Heard()) == "https://x.gradio.live", "what was chosen goes on"


def test_every_service_has_words_for_its_failures() -> None:
    for service in SERVICES.values():
        assert service.reasons
        assert all(reason.words[0].islower() and not reason.words.endswith(".") for reason in service.reasons)
