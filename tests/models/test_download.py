"""Bytes to a file: resumed after any cut, verified, named only when whole."""

import contextlib
import errno
import functools
import hashlib
import itertools
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from launcher.core.folder import require_room
from launcher.core.problem import Problem
from launcher.models import http, ranges
from launcher.models.download import download
from launcher.models.ranges import CHUNK, CONNECTIONS
from launcher.models.remote import Interrupted, Remote
from tests.models.downloading import OWN, SIZE, Watcher, fetch, hub, in_another_process, more_was_sent, remote
from tests.world import safetensors
from tests.world.disks import disk
from tests.world.hub import Hub
from tests.world.wait import wait

__all__ = ["hub"]


def test_a_file_arrives_whole_with_progress_that_only_rises(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "drive" / "model.safetensors"
    seen = fetch(remote(hub), target)
    assert target.read_bytes() == (hub.root / "own/model/model.safetensors").read_bytes()
    assert seen == sorted(seen)
    assert seen[-1] == target.stat().st_size
    assert [p.name for p in target.parent.iterdir()] == ["model.safetensors"]


def test_a_connection_cut_in_the_middle_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = 1_500_000
    fetch(remote(hub), tmp_path / "model.safetensors")
    assert hub.sent() <= SIZE + (2 << 20)
    assert any(entry.get("cut") for entry in hub.log)


def test_a_download_stopped_by_the_person_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    hub.rate = 5_000_000  # a connection: otherwise the whole file lies in the sockets' buffers already
    with pytest.raises(Interrupted):
        download(remote(hub), target, where="Drive", own=OWN, step=Watcher(stop_beyond=10_000_000))
    assert not target.exists()
    before_the_stop = hub.sent()  # a piece that was cut on its way is not in it: no figure to compare with 10 MB
    fetch(remote(hub), target)
    left = remote(hub).size - 10_000_000
    assert hub.sent() - before_the_stop <= left + 5_000_000, "what was fetched before the stop was fetched again"


def test_a_download_that_is_stopped_before_it_begins_ends_at_once(hub: Hub, tmp_path: Path) -> None:
    watcher = Watcher()
    watcher.stop.set()
    with pytest.raises(Interrupted):
        download(remote(hub), tmp_path / "model.safetensors", where="Drive", own=OWN, step=watcher)
    assert hub.log == []


def test_killed_at_five_points_it_fetches_hardly_more_than_once(hub: Hub, tmp_path: Path) -> None:
    hub.add("own/model", "big.safetensors", safetensors(300_000_000))
    hub.rate = 3_000_000  # a connection
    what, target = remote(hub, name="big.safetensors"), tmp_path / "big.safetensors"
    for _ in range(5):
        before, child = hub.sent(), in_another_process(what, target)
        wait(functools.partial(more_was_sent, hub, before + 20_000_000), 60, "20 MB to be on their way")
        assert not target.exists()
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert hub.sent() >= 100_000_000, "the kills came before anything was fetched"
    hub.rate = None
    fetch(what, target)
    assert hub.sent() <= what.size + 5 * CONNECTIONS * CHUNK
    assert hashlib.sha256(target.read_bytes()).hexdigest() == what.sha256


def test_a_wrong_checksum_is_said_and_the_file_is_deleted(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="arrived damaged"):
        fetch(remote(hub, sha256="0" * 64), tmp_path / "model.safetensors")
    assert list(tmp_path.glob("model*")) == []


def test_a_web_page_is_never_taken_for_weights(hub: Hub, tmp_path: Path) -> None:
    hub.add("own/model", "page.safetensors", b"<!doctype html><title>Log in</title>" + b" " * 1000)
    for size in (None, 5000):  # the page's, the model's
        hub.no_ranges = size is not None
        with pytest.raises(Problem, match="is a web page, not a model"):
            fetch(remote(hub, name="page.safetensors", size=size), tmp_path / "page.safetensors")
    assert not list(tmp_path.glob("page*"))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (safetensors(1000)[:-100], "cut off"),
        (b"\xff" * 8 + b"{}", "header is longer"),
        ((10**12).to_bytes(8, "little") + b"x" * 100, "not a model file"),
        ((2).to_bytes(8, "little") + b"[]" + b"x" * 100, "not a model file"),
        (b"abc", "cut off"),
    ],
)
def test_a_safetensors_file_that_cannot_be_one_is_refused(hub: Hub, tmp_path: Path, content: bytes, fault: str) -> None:
    hub.add("own/model", "bad.safetensors", content)
    with pytest.raises(Problem, match=f"is not a usable model file: .*{fault}"):
        fetch(remote(hub, name="bad.safetensors"), tmp_path / "bad.safetensors")
    assert not list(tmp_path.glob("bad*"))


@pytest.mark.parametrize(("status", "says"), [(429, "there were too many downloads"), (500, "problem of its own")])
def test_a_busy_server_is_asked_again_as_late_as_it_says_and_then_given_up(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, says: str
) -> None:
    monkeypatch.setattr(ranges, "FRUITLESS_TRIES", 3)  # seven take seven seconds
    hub.fail["model.safetensors"] = (status, {"Retry-After": "1"}, b"no")
    with pytest.raises(Problem, match=says):
        fetch(remote(hub), tmp_path / "model.safetensors")
    asked = [entry["at"] for entry in hub.log]
    assert len(asked) == 3
    assert all(later - sooner >= 1 for sooner, later in itertools.pairwise(asked)), "not as late as it was told"


def test_a_server_that_recovers_is_forgiven(hub: Hub, tmp_path: Path) -> None:
    hub.fail["model.safetensors"] = (503, {}, b"no")
    threading.Timer(1.5, hub.fail.clear).start()
    fetch(remote(hub), tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").exists()


def test_a_stalled_socket_is_given_up(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", (2, 1))  # half a minute
    monkeypatch.setattr(ranges, "FRUITLESS_TRIES", 1)  # seven times
    hub.stall = True
    with pytest.raises(Problem, match="does not answer"):
        fetch(remote(hub), tmp_path / "model.safetensors")


def test_too_little_room_is_said_before_the_first_byte(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"needs 900000.0 GB, but Google Drive has only .*Free .* GB on Google Drive"):
        fetch(remote(hub, size=900_000_000_000_000), tmp_path / "model.safetensors")
    assert hub.log == []


def test_a_disk_that_fills_up_is_said_and_what_came_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.rate = 2_000_000  # a connection
    with disk(tmp_path / "small", 44_000_000) as small, contextlib.ExitStack() as stack:
        target = small / "models" / "model.safetensors"
        going = stack.enter_context(ThreadPoolExecutor(1)).submit(fetch, remote(hub), target)
        wait(lambda: hub.sent() > 12_000_000, 60, "the download to be under way")
        with (small / "theirs").open("wb") as another, contextlib.suppress(OSError):  # the room that there was is gone
            while another.write(bytes(1 << 20)):
                another.flush()
        with pytest.raises(Problem, match="Google Drive is full"):
            going.result(60)
        (small / "theirs").unlink()
        hub.rate = None
        seen = fetch(remote(hub), target)
        assert seen[0] > 4_000_000, "what had come was fetched again"
        assert target.stat().st_size == remote(hub).size


def test_a_folder_that_was_shared_for_viewing_only_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, *about: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    asked = Remote("https://example.com/x.pt", "x.pt")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Problem, match="VAE-approx on Google Drive is read-only"):
        download(asked, tmp_path / "VAE-approx" / "x.pt", where="Google Drive", own=tmp_path, step=Watcher())


def test_the_token_never_reaches_another_host(hub: Hub, tmp_path: Path) -> None:
    hub.tokens["hf_secret"], hub.gated["own/model"], hub.redirect = {"name": "me"}, {"hf_secret"}, True
    fetch(remote(hub, token="hf_secret"), tmp_path / "model.safetensors")
    assert any(entry["auth"] for entry in hub.log if not entry["cdn"])
    assert [entry for entry in hub.log if entry["cdn"] and entry["auth"]] == []
    assert len([entry for entry in hub.log if entry["cdn"]]) > 1


def asked_anew(hub: Hub) -> bool:
    statuses = [entry["status"] for entry in hub.log]
    return 403 in statuses and 302 in statuses[statuses.index(403) :]


def test_a_signed_address_that_ran_out_is_asked_for_anew(hub: Hub, tmp_path: Path) -> None:
    hub.add("own/model", "large.safetensors", safetensors(3 * SIZE))
    what, hub.redirect, hub.signed_for = remote(hub, name="large.safetensors"), True, 5
    fetch(what, tmp_path / "large.safetensors")
    assert asked_anew(hub)
    assert hub.sent() <= what.size + 10_000_000


@contextlib.contextmanager
def plain_server(content: bytes) -> Iterator[str]:
    """A server that knows no ranges and states no size."""

    class Plain(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a"
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_without_ranges_and_size_is_read_in_one_go(tmp_path: Path) -> None:
    content = safetensors(5_000_000)
    with plain_server(content) as url:
        fetch(Remote(url, "a.safetensors"), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == content


def test_a_small_file_of_unknown_size_comes_though_little_room_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=200 << 20))
    with plain_server(safetensors(5_000_000)) as url:
        fetch(Remote(url, "a.safetensors"), tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").exists()


def test_of_a_file_that_another_source_is_to_be_chosen_for_nothing_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.fail["model.safetensors"] = (302, {"Location": "https://[no-address/"}, b"")
    with pytest.raises(Problem, match="impossible address"):
        fetch(remote(hub), tmp_path / "model.safetensors")
    assert not list(tmp_path.glob("model*"))


def test_a_server_that_leads_in_a_circle_is_soon_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.fail["model.safetensors"] = (302, {"Location": "/own/model/resolve/main/model.safetensors"}, b"")
    with pytest.raises(Problem, match="in a circle"):
        fetch(remote(hub), tmp_path / "model.safetensors")
    assert len(hub.log) < 15


def test_of_a_file_that_cannot_go_on_nothing_is_kept_when_it_is_stopped(tmp_path: Path) -> None:
    watcher = Watcher(stop_beyond=1_000_000)
    with plain_server(safetensors(30_000_000)) as url, pytest.raises(Interrupted):
        download(Remote(url, "a.safetensors"), tmp_path / "a.safetensors", where="Drive", own=OWN, step=watcher)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_download_lies_in_a_folder_of_ours_that_nobody_else_can_enter(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "session" / "downloads"
    download(remote(hub), tmp_path / "model.safetensors", where="Drive", own=own, step=Watcher())
    assert own.stat().st_mode & 0o777 == 0o700
    assert [path.suffix for path in own.iterdir()] == [".lock"]


def test_a_server_that_ignores_ranges_is_read_in_one_go(hub: Hub, tmp_path: Path) -> None:
    hub.no_ranges = True
    fetch(remote(hub), tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == (hub.root / "own/model/model.safetensors").read_bytes()


@pytest.mark.parametrize("size", [1, 4 << 20, (4 << 20) + 1, 8 << 20, (8 << 20) + 1, 37 << 20])
def test_files_of_any_length_arrive(hub: Hub, tmp_path: Path, size: int) -> None:
    content = b"\x80" + os.urandom(size - 1)  # a first byte "<" would be taken for a web page
    hub.add("own/model", "any.ckpt", content)
    download(remote(hub, name="any.ckpt"), tmp_path / "any.ckpt", where="Drive", own=OWN, step=Watcher())
    assert (tmp_path / "any.ckpt").read_bytes() == content


def test_an_unfinished_file_of_an_older_version_does_not_stay_for_ever(hub: Hub, tmp_path: Path) -> None:
    old = tmp_path / "model.safetensors.0123456789ab.part"
    old.write_bytes(b"old")
    fetch(remote(hub), tmp_path / "model.safetensors")
    assert not old.exists()


def test_only_google_drive_has_a_trash_to_empty(tmp_path: Path) -> None:
    for where, said in (("Google Drive", True), ("the runtime's disk", False)):
        with pytest.raises(Problem) as caught:
            require_room(tmp_path, 10**18, where, "The model")
        assert ("empty its trash too" in caught.value.do) == said


def test_a_file_of_the_wrong_size_is_deleted_and_not_trusted_later(tmp_path: Path) -> None:
    with plain_server(b"half") as url, pytest.raises(Problem, match="4 of 8 bytes"):
        fetch(Remote(url, "model.ckpt", 8), tmp_path / "model.ckpt")
    assert list(tmp_path.iterdir()) == []
