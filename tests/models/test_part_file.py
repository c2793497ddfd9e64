"""Unfinished downloads: one writer a file, ■ at any moment, and nothing is gone on with that may be another file."""

import functools
import hashlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import pytest

from launcher.core.folder import PART
from launcher.core.problem import Problem
from launcher.models.download import download
from launcher.models.http import probe
from launcher.models.refusals import refusal_of
from launcher.models.remote import Answer, Interrupted, Remote
from tests.models.downloading import OWN, Watcher, hub, in_another_process, more_was_sent, remote
from tests.models.fetching import hurry
from tests.models.liars import weights
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
        done.append(download(what, target, where="Drive", own=OWN, step=watcher)[1])

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
    child = in_another_process(what, target)
    wait(functools.partial(more_was_sent, hub, 2_000_000), 60, "the other process to be at it")
    watcher = Watcher()
    about = {"where": "Drive", "own": OWN, "step": watcher}
    waiting = threading.Thread(target=download, args=(what, target), kwargs=about)
    waiting.start()
    wait(lambda: bool(watcher.said), 20, "the second writer to say that it waits")
    child.send_signal(signal.SIGKILL)
    child.wait()
    hub.rate = None
    waiting.join(60)
    assert hashlib.sha256(target.read_bytes()).hexdigest() == what.sha256


def stopped_download(what: Remote, target: Path, watcher: Watcher, raised: list[BaseException]) -> None:
    try:
        download(what, target, where="Drive", own=OWN, step=watcher)
    except Interrupted as error:
        raised.append(error)


@pytest.mark.parametrize("stalls", ["before the first byte", "in the middle", "in one go", "while another one writes"])
def test_stop_ends_a_download_at_once_whatever_it_waits_for(hub: Hub, tmp_path: Path, stalls: str) -> None:
    watcher, what, target = Watcher(), remote(hub), tmp_path / "model.safetensors"
    hub.stall = stalls in ("before the first byte", "in one go")
    hub.rate = 1000 if stalls == "in the middle" else None
    if stalls == "in one go":
        what = Remote(what.url, what.name)
    first = Watcher()
    another = threading.Thread(target=stopped_download, args=(what, target, first, []))
    if stalls == "while another one writes":
        hub.rate = 1000
        another.start()
        wait(lambda: bool(hub.log), 20, "the other one to be at it")
    raised: list[BaseException] = []
    thread = threading.Thread(target=stopped_download, args=(what, target, watcher, raised))
    thread.start()
    waits = stalls == "while another one writes"
    wait(lambda: watcher.said if waits else hub.log, 20, "the download to be under way")
    began = time.monotonic()
    watcher.stop.set()
    thread.join(20)
    assert time.monotonic() - began < 2, "■ has to end it at once: 0.1 s, with room for a loaded machine"
    if waits:
        assert another.is_alive(), "the other one is not stopped with it"
        first.stop.set()
        another.join(20)
    assert len(raised) == 1
    assert not target.exists()


def test_a_file_that_changed_between_two_sessions_is_never_mixed(tmp_path: Path) -> None:
    liar = Liar(safetensors(3_000_000), gives=1_500_000)
    target = tmp_path / "model.safetensors"
    try:
        first = probe(Remote(liar.url, "model.safetensors"))
        with pytest.raises(Interrupted):
            download(first, target, where="Drive", own=OWN, step=Watcher(stop_beyond=500_000))
        liar.change()
        liar.gives = inf
        second = probe(Remote(liar.url, "model.safetensors"))
        assert second.tag != first.tag
        download(second, target, where="Drive", own=OWN, step=Watcher())
        assert target.read_bytes() == liar.content
        assert list(tmp_path.iterdir()) == [target]
    finally:
        liar.close()


def test_without_a_checksum_or_a_version_nothing_is_gone_on_with(tmp_path: Path) -> None:
    liar = Liar(safetensors(3_000_000), "changes, no etag", gives=1_500_000)
    target = tmp_path / "model.safetensors"
    try:
        what = probe(Remote(liar.url, "model.safetensors"))
        assert not what.can_go_on
        with pytest.raises(Interrupted):
            download(what, target, where="Drive", own=OWN, step=Watcher(stop_beyond=500_000))
        liar.change()
        liar.gives = inf
        download(what, target, where="Drive", own=OWN, step=Watcher())
        assert target.read_bytes() == liar.content
    finally:
        liar.close()


CONTENT = weights(3_000_000)


@dataclass
class Unfinished:
    """A download that was stopped. Where nobody knows the file's SHA-256, nobody will notice a byte that is wrong; else
    one that is wrong costs the whole download again.
    """

    liar: Liar
    remote: Remote
    target: Path
    left: dict[Path, bytes]  # what lies on the disk

    def bookkeeping(self) -> list[tuple[Path, int]]:
        """Which bytes on the disk are none of the file's: (path, from where on)."""
        parts = [(path, self.remote.size if path.name.endswith(PART) else 0) for path in self.left]
        return [(path, start) for path, start in parts if len(self.left[path]) > start]

    def go_on_with(self, left: dict[Path, bytes]) -> bytes:
        """Put that on the disk, byte for byte as Google Drive does, which knows no holes; download on."""
        self.target.unlink(missing_ok=True)
        for path, content in left.items():
            path.write_bytes(content)
        return self.go_on()

    def go_on(self) -> bytes:
        watcher = Watcher()
        download(self.remote, self.target, where="Drive", own=OWN, step=watcher)
        assert "in one piece" not in " ".join(watcher.said)
        assert list(self.target.parent.iterdir()) == [self.target]
        return self.target.read_bytes()


@pytest.fixture(params=[True, False], ids=["checksum known", "checksum unknown"])
def unfinished(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Unfinished]:
    folder = tmp_path / "models"
    folder.mkdir()
    liar = Liar(CONTENT, gives=1_500_000)
    what = probe(Remote(liar.url, "model.safetensors"))
    what = replace(what, sha256=hashlib.sha256(liar.content).hexdigest() if request.param else "")
    before = set(threading.enumerate())
    with pytest.raises(Interrupted):
        download(what, folder / "model.safetensors", where="Drive", own=OWN, step=Watcher(stop_beyond=1_000_000))
    liar.gives = inf
    for thread in set(threading.enumerate()) - before:  # nobody waits for those that receive: they write what comes now
        thread.join()
    yield Unfinished(liar, what, folder / "model.safetensors", {path: path.read_bytes() for path in folder.iterdir()})
    liar.close()


@pytest.mark.parametrize("lost", [len(CONTENT), 1 << 18])
def test_what_was_noted_and_is_not_there_after_a_crash_is_fetched_again(unfinished: Unfinished, lost: int) -> None:
    """The note reached the disk, the bytes did not, all or the first of them: there is a hole."""
    part = next(path for path in unfinished.left if path.name.endswith(PART))
    os.truncate(part, 0)
    with part.open("r+b") as file:
        file.seek(lost)
        file.write(unfinished.left[part][lost:])
    os.truncate(part, len(unfinished.left[part]))
    assert unfinished.go_on() == unfinished.liar.content


DAMAGES: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "a byte": lambda note: (flipped(note, at) for at in range(min(len(note), 48))),
    "ones": lambda note: [b"\1" * len(note), b"\xff" * len(note)],
    "nonsense": lambda note: [hashlib.shake_256(b"%d" % seed).digest(len(note)) for seed in range(5)],
    "cut off": lambda note: [note[:length] for length in (0, 1, 20, len(note) - 1)],
    "longer": lambda note: [note + b"\0", note * 2],
}


def flipped(note: bytes, at: int) -> bytes:
    return note[:at] + bytes([note[at] ^ 0xFF]) + note[at + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_becomes_of_the_note_of_what_is_there_no_wrong_byte_is_taken(
    unfinished: Unfinished, damage: str
) -> None:
    assert unfinished.bookkeeping(), "nothing notes what is there"
    for path, start in unfinished.bookkeeping():
        content = unfinished.left[path]
        for note in DAMAGES[damage](content[start:]):
            assert unfinished.go_on_with(unfinished.left | {path: content[:start] + note}) == unfinished.liar.content


def test_a_note_as_it_was_written_is_gone_on_with(unfinished: Unfinished) -> None:
    seen, before = Watcher(), dict(unfinished.left)
    for path, content in before.items():
        path.write_bytes(content)
    download(unfinished.remote, unfinished.target, where="Drive", own=OWN, step=seen)
    assert unfinished.target.read_bytes() == unfinished.liar.content
    assert seen.seen[0] > 500_000, "it began anew"  # type: ignore[attr-defined]


def test_what_has_come_stays_where_there_is_no_room_for_the_rest(
    unfinished: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("launcher.core.folder.free_bytes", lambda path: 0)
        with pytest.raises(Problem, match="has only 0"):
            unfinished.go_on()
    assert {path: path.read_bytes() for path in unfinished.left} == unfinished.left


def test_goes_on_where_it_stopped_is_said_only_where_it_does() -> None:
    known = Remote("https://example.com/x", "x.pt", 10, "a" * 64)
    unknown = Remote("https://example.com/x", "x.pt")
    assert "continues where it stopped" in refusal_of(known, Answer(503)).do
    assert "continues" not in refusal_of(unknown, Answer(503)).do


def test_no_secret_of_a_link_stands_in_a_message(hub: Hub, tmp_path: Path) -> None:
    hub.fail["model.safetensors"] = (404, {}, b"no")
    what = Remote(f"{hub.url}/own/model/resolve/main/model.safetensors?key=secret", "model.safetensors", 5, "a" * 64)
    with pytest.raises(Problem) as caught:
        download(what, tmp_path / "model.safetensors", where="Drive", own=OWN, step=Watcher())
    assert "secret" not in f"{caught.value} {what!r} {caught.value.__cause__}"


def test_no_secret_of_a_link_comes_to_the_log_with_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    key = "".join(["s3", "cr3t"])  # a traceback shows these lines, too
    nobody = Remote(f"http://127.0.0.1:9/x?token={key}", "x.pt")
    target = tmp_path / "x.pt"
    for ask in (lambda: probe(nobody), lambda: download(nobody, target, where="Drive", own=OWN, step=Watcher())):
        with pytest.raises(Problem) as caught:
            ask()
        assert key not in "".join(traceback.format_exception(caught.value))
