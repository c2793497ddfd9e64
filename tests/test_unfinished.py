"""Unfinished downloads: one writer a file, ■ at any moment, and nothing is gone on with that may be another file."""

import functools
import hashlib
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest

from launcher.core.problem import Problem
from launcher.models import download as room
from launcher.models.download import download
from launcher.models.part_file import CHUNK, PartFile
from launcher.models.probe import probe
from launcher.models.refusals import Refused, refused_problem
from launcher.models.remote import Interrupted, Remote
from tests.conftest import ROOT
from tests.downloading import Watcher, hub, more_was_sent, remote
from tests.world import safetensors
from tests.world.hub import Hub
from tests.world.liar import Liar
from tests.world.wait import wait

__all__ = ["hub"]


def test_two_writers_of_one_file_fetch_it_once(hub: Hub, tmp_path: Path) -> None:
    hub.rate = 2_000_000  # a connection
    what, target = remote(hub), tmp_path / "model.safetensors"
    watchers, done = [Watcher(), Watcher()], list[str]()

    def work(watcher: Watcher) -> None:
        done.append(download(what, target, where="Drive", step=watcher)[1])

    threads = [threading.Thread(target=work, args=(watcher,)) for watcher in watchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [what.sha256, what.sha256]
    assert hub.sent() <= what.size + 2_000_000
    assert any("is already being downloaded" in text for watcher in watchers for text in watcher.said)


def test_a_writer_in_another_process_is_waited_for_and_its_death_frees_the_file(hub: Hub, tmp_path: Path) -> None:
    hub.rate = 500_000  # a connection
    what, target = remote(hub), tmp_path / "model.safetensors"
    script = (
        "from pathlib import Path; from launcher.models.download import Remote, download; from tests.world.heard "
        "import Heard\n"
        f"download(Remote({what.url!r}, {what.name!r}, {what.size}, {what.sha256!r}), Path({str(target)!r}), "
        "where='Drive', step=Heard())"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait(functools.partial(more_was_sent, hub, 2_000_000), 60, "the other process to be at it")
    watcher = Watcher()
    waiting = threading.Thread(target=download, args=(what, target), kwargs={"where": "Drive", "step": watcher})
    waiting.start()
    wait(lambda: bool(watcher.said), 20, "the second writer to say that it waits")
    child.send_signal(signal.SIGKILL)
    child.wait()
    hub.rate = None
    waiting.join(60)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == what.sha256


@pytest.mark.parametrize("stalls", ["before the first byte", "in the middle", "in one go", "while another one writes"])
def test_stop_ends_a_download_at_once_whatever_it_waits_for(hub: Hub, tmp_path: Path, stalls: str) -> None:
    watcher, what, target = Watcher(), remote(hub), tmp_path / "model.safetensors"
    hub.stall = stalls in ("before the first byte", "in one go")
    hub.rate = 1000 if stalls == "in the middle" else None
    if stalls == "in one go":
        what = Remote(what.url, what.name)
    other = room.only_writer(target, Watcher())
    if stalls == "while another one writes":
        other.__enter__()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            download(what, target, where="Drive", step=watcher)
        except Interrupted as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait(lambda: bool(hub.log) or bool(watcher.said), 20, "the download to be under way")
    began = time.monotonic()
    watcher.stop.set()
    thread.join(20)
    if stalls == "while another one writes":
        other.__exit__(None, None, None)
    assert time.monotonic() - began < 2, "■ has to end it at once: 0.1 s, with room for a loaded machine"
    assert len(raised) == 1
    assert not target.exists()


def test_a_file_that_changed_between_two_sessions_is_never_mixed(tmp_path: Path) -> None:
    liar = Liar(safetensors(3_000_000))
    target = tmp_path / "model.safetensors"
    try:
        first = probe(Remote(liar.url, "model.safetensors")).remote
        with pytest.raises(Interrupted):
            download(first, target, where="Drive", step=Watcher(stop_beyond=500_000))
        liar.change()
        second = probe(Remote(liar.url, "model.safetensors")).remote
        assert second.tag != first.tag
        download(second, target, where="Drive", step=Watcher())
        assert target.read_bytes() == liar.content
        assert list(tmp_path.iterdir()) == [target]
    finally:
        liar.close()


def test_without_a_checksum_or_a_version_nothing_is_gone_on_with(tmp_path: Path) -> None:
    liar = Liar(safetensors(3_000_000), "changes, no etag")
    target = tmp_path / "model.safetensors"
    try:
        what = probe(Remote(liar.url, "model.safetensors")).remote
        assert not what.can_go_on
        with pytest.raises(Interrupted):
            download(what, target, where="Drive", step=Watcher(stop_beyond=500_000))
        liar.change()
        download(what, target, where="Drive", step=Watcher())
        assert target.read_bytes() == liar.content
    finally:
        liar.close()


def unfinished(tmp_path: Path, size: int) -> tuple[Path, PartFile]:
    return tmp_path / "part", PartFile(tmp_path / "part", size)


def test_a_note_never_says_more_than_the_file_has(tmp_path: Path) -> None:
    size, filled = 3 * CHUNK, b"x" * CHUNK
    path, part = unfinished(tmp_path, size)
    with part:
        taken = part.take()
        assert taken
        part.write(0, 0, filled)
    assert PartFile(path, size).have == CHUNK
    with path.open("r+b") as file:  # as after a crash of the machine: the note is there, the bytes are not
        note = file.seek(size) and file.read()
        file.truncate(0)
        file.seek(size)
        file.write(note or b"")
    assert PartFile(path, size).have == 0


@pytest.mark.parametrize("at", [0, 9, 13, 21, 40])
def test_a_damaged_note_is_not_believed(tmp_path: Path, at: int) -> None:
    size = 3 * CHUNK
    path, part = unfinished(tmp_path, size)
    with part:
        part.take()
        part.write(0, 0, b"x" * CHUNK)
    with path.open("r+b") as file:
        file.seek(size + at)
        byte = file.read(1)
        file.seek(size + at)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert PartFile(path, size).have == 0


def test_goes_on_where_it_stopped_is_said_only_where_it_does() -> None:
    busy = Refused(503, 0.0)
    known = Remote("https://example.com/x", "x.pt", 10, "a" * 64)
    unknown = Remote("https://example.com/x", "x.pt")
    assert "continues where it stopped" in refused_problem(known, busy).do
    assert "goes on" not in refused_problem(unknown, busy).do


def test_no_secret_of_a_link_stands_in_a_message(hub: Hub, tmp_path: Path) -> None:
    hub.fail["model.safetensors"] = (404, {}, b"no")
    what = Remote(f"{hub.url}/own/model/resolve/main/model.safetensors?key=secret", "model.safetensors", 5, "a" * 64)
    with pytest.raises(Problem) as caught:
        download(what, tmp_path / "model.safetensors", where="Drive", step=Watcher())
    assert "secret" not in f"{caught.value} {what!r} {caught.value.__cause__}"


def test_no_secret_of_a_link_comes_to_the_log_with_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.models.probe.WAITS", ())
    monkeypatch.setattr("launcher.models.download.WHOLE_WAITS", ())
    key = "".join(["s3", "cr3t"])  # a traceback shows these lines, too
    nobody = Remote(f"http://127.0.0.1:9/x?token={key}", "x.pt")
    for ask in (lambda: probe(nobody), lambda: download(nobody, tmp_path / "x.pt", where="Drive", step=Watcher())):
        with pytest.raises(Problem) as caught:
            ask()
        assert key not in "".join(traceback.format_exception(caught.value))
