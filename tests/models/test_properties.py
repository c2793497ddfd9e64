"""Whatever comes from outside, no parser ends in an exception but a sentence for people. hypothesis makes the nonsense
up.
"""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.core.fields import Settings
from launcher.core.problem import Problem
from launcher.models.checksums import CHECKSUMS_FILE, known_checksum, read_kept
from launcher.models.http import seconds_to_wait
from launcher.models.identify import Unreadable, format_of, identify, shapes_in
from launcher.models.kinds import Format, contents_of
from launcher.models.pasted import links_in, one_link, safe_name, without_secrets
from launcher.models.remote import TokenNeeded, content_range, stated_name, stated_sha256, stated_size
from launcher.models.sources import resolve_link
from launcher.models.unpickle import main
from tests.conftest import new_folder
from tests.models.fetching import web
from tests.models.old_files import SOUND
from tests.world.web import Web

__all__ = ["web"]

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
HOSTS = st.sampled_from(["civitai.com", "huggingface.co", "drive.google.com", "github.com", "example.com", "hf.co"])
SCHEMES = st.sampled_from(["https://", "HTTPS://", "http://", "urn:air:", "//", ""])
LINKS = st.builds(
    lambda scheme, host, rest: f"{scheme}{host}{rest}", SCHEMES, HOSTS | st.text(max_size=8), st.text(max_size=60)
)
PATHS = st.lists(st.sampled_from(["models", "3", "blob", "resolve", "tree", "refs", "file", "d", "u", "0", "api", "download", "a.pt", "%2F", "?", "#", "&", "=", "id", "token"]) | st.text(max_size=5), max_size=9)  # fmt: skip
MEANT = st.builds(lambda host, words: f"https://{host}/" + "/".join(words), HOSTS, PATHS)


class Nobody(Exception):
    """Here the network would begin."""


@quick
@given(st.text(max_size=200) | LINKS | MEANT)
def test_every_pasted_text_is_a_link_or_a_sentence(text: str) -> None:
    links_in(text)
    with contextlib.suppress(Problem):
        link = one_link(text)
        assert one_link(link) == link


def nobody(*_: Any, **__: Any) -> Any:
    raise Nobody


@quick
@given(MEANT)
def test_every_link_is_read_until_somebody_is_asked_or_is_a_sentence(link: str) -> None:
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Problem, TokenNeeded, Nobody):
        patch.setattr("socket.getaddrinfo", nobody)
        resolve_link(link, "")


@quick
@given(st.text(max_size=20), st.text(alphabet="abcXYZ0123456789", min_size=8, max_size=20))
def test_no_key_in_a_query_is_ever_shown(name: str, key: str) -> None:
    assert key not in without_secrets(f"see https://example.com/x.pt?token={key}&x={key} {name}").removesuffix(name)


@quick
@given(st.text(max_size=400))
def test_a_safe_name_is_safe(name: str) -> None:
    with contextlib.suppress(Problem):
        safe = safe_name(name)
        assert "/" not in safe
        assert not safe.startswith(".")
        assert len(safe.encode()) <= 255 - len(".0123456789ab.part")
        assert safe_name(safe) == safe


@quick
@given(st.text(max_size=100) | st.text(alphabet="filenam*=UTF-8'\"%=?;BQ0a .pt", max_size=60))
def test_headers_are_read_whatever_they_say(value: str) -> None:
    stated_name(f"attachment; {value}")
    stated_name(f"attachment; filename*={value}")
    stated_name(f'attachment; filename="{value}"')
    content_range(value)
    assert 0 <= seconds_to_wait({"Retry-After": value, "ratelimit": value}) <= 60
    answer = requests.Response()
    answer.status_code = 200
    for header in ("Content-Length", "X-Linked-Etag", "Repr-Digest", "Digest", "Retry-After", "ratelimit"):
        answer.headers[header] = value
    stated_size(answer)
    stated_sha256(answer)


@quick
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_safetensors_header_is_read_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Unreadable):
        contents_of(shapes_in(raw, 8 + len(raw)))


@quick
@given(st.dictionaries(st.text(max_size=60), st.lists(st.integers(0, 3000), max_size=4).map(tuple), max_size=5))
def test_any_names_of_tensors_are_some_contents(names: dict[str, tuple[int, ...]]) -> None:
    contents_of(names)


@quick
@given(st.binary(max_size=600), st.integers(0, 2000))
def test_any_first_bytes_have_a_format(beginning: bytes, more: int) -> None:
    found, fault = format_of(beginning, len(beginning) + more)
    assert (found is Format.OTHER) == bool(fault)


@quick
@given(st.binary(max_size=400))
def test_any_file_is_looked_at_without_an_exception(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        path.write_bytes(content)
        identify(path, inside=False)


@quick
@given(st.sampled_from(sorted(SOUND)), st.integers(0, 1 << 20), st.binary(min_size=1, max_size=8))
def test_a_sound_old_file_with_any_bytes_changed_is_read_or_refused(name: str, at: int, change: bytes) -> None:
    content = bytearray(SOUND[name][0])
    at %= len(content)
    content[at : at + len(change)] = change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(content)
        told = main(str(path), whole=False)
    contents_of({tensor: tuple(shape) for tensor, shape in told["tensors"].items()})


@quick
@given(st.binary(max_size=200) | JSON.map(lambda value: __import__("gzip").compress(json.dumps(value).encode())))
def test_any_list_of_checksums_is_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = new_folder(Path(root))
        (folder.kept / CHECKSUMS_FILE).write_bytes(content)
        assert isinstance(read_kept(folder), dict)
        model = folder.models / "Stable-diffusion" / "m.safetensors"
        model.write_bytes(b"x")
        assert known_checksum(folder, model) is None


CIVITAI = st.sampled_from(["https://civitai.com/models/3", "https://civitai.com/models/3?modelVersionId=7&fp=fp16"])


def test_anything_civitai_says_is_a_file_or_a_sentence(web: Web) -> None:
    @quick
    @given(JSON, CIVITAI)
    def says(told: Any, link: str) -> None:
        of_model = {"modelVersions": [told, {"files": [told, {"name": "x.pt", "type": told}], "model": told}]}
        listed = json.dumps(told if isinstance(told, dict) else of_model).encode()
        web.answer = lambda path, headers: (200, {}, listed if "/api/v1/" in path else b"weights")
        with contextlib.suppress(Problem, TokenNeeded):
            assert resolve_link(link, "").name

    says()


def test_anything_the_hub_lists_is_a_file_or_a_sentence(web: Web) -> None:
    entry = st.fixed_dictionaries(
        {"rfilename": JSON | st.text(max_size=8).map(lambda name: f"{name}.pt"), "size": JSON}
    )
    links = st.sampled_from(["own/model", "own/model/tree/main/x", "own/model#x.pt", "datasets/own/model"])

    @quick
    @given(JSON | st.lists(entry, max_size=4).map(lambda files: {"siblings": files}), links)
    def says(told: Any, link: str) -> None:
        listed = json.dumps(told).encode()
        web.answer = lambda path, headers: (200, {}, listed if "/api/" in path else b"weights")
        with contextlib.suppress(Problem):
            assert resolve_link(f"https://huggingface.co/{link}", "").name

    says()


HEADERS = (
    "Content-Disposition",
    "Content-Type",
    "Content-Range",
    "Content-Encoding",
    "Location",
    "ETag",
    "Retry-After",
)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)


def test_anything_a_server_says_in_its_headers_is_a_file_or_a_sentence(web: Web) -> None:
    @quick
    @given(
        st.dictionaries(st.sampled_from(HEADERS), VALUES, max_size=4), st.sampled_from([200, 206, 302, 403, 404, 416])
    )
    def says(headers: dict[str, str], status: int) -> None:
        web.answer = lambda path, asked: (status, dict(headers), b"weights")
        with contextlib.suppress(Problem):
            resolve_link("https://example.com/models/m.pt", "")

    says()


def test_any_page_of_google_drive_is_a_file_or_a_sentence(web: Web) -> None:
    @quick
    @given(st.text(max_size=300), st.sampled_from([200, 403, 404, 429]), st.booleans())
    def says(text: str, status: int, is_page: bool) -> None:
        kind = {"Content-Type": "text/html"} if is_page else {}
        web.answer = lambda path, headers: (status, kind, text.encode("utf-8", "replace"))
        with contextlib.suppress(Problem):
            resolve_link("https://drive.google.com/file/d/abc-1/view", "")

    says()


@quick
@given(st.dictionaries(st.sampled_from(sorted(Settings.__dataclass_fields__)) | st.text(max_size=8), JSON, max_size=6))
def test_any_form_is_settings_or_a_sentence(form: dict[str, Any]) -> None:
    with contextlib.suppress(Problem):
        Settings.from_form(form, ["A model"])
