"""What people paste is read as they mean it, or one sentence says what is wrong; file names survive every server."""

import pytest
import requests

from launcher.core.problem import Problem
from launcher.models.http import WebSession, probe
from launcher.models.pasted import links_in, one_link, safe_name, without_secrets
from launcher.models.remote import Remote, content_range, stated_name
from launcher.models.sources import civitai
from launcher.models.sources.direct import name_in
from tests.world.liar import Liar

HUB = "https://huggingface.co/a/b/blob/main/c.safetensors"


@pytest.mark.parametrize(
    "text",
    [
        HUB,
        f"<{HUB}>",
        f'"{HUB}"',
        f"“{HUB}”,",
        f"  {HUB}.  ",
        f"[the model]({HUB})",
        f"see {HUB}, it is good!",
        HUB.replace("https://huggingface.co", "HTTPS://HuggingFace.co"),
        HUB.removeprefix("https://"),
    ],
)
def test_a_link_is_found_in_what_stands_around_it(text: str) -> None:
    assert one_link(text) == HUB


def test_a_bracket_that_belongs_to_a_link_stays() -> None:
    assert one_link("(https://example.com/a_(1).safetensors)") == "https://example.com/a_(1).safetensors"
    assert one_link("https://example.com/model_(v2)") == "https://example.com/model_(v2)"


def test_several_links_are_all_found_once() -> None:
    other = "urn:air:sd1:lora:civitai:3@7"
    assert links_in(f"{HUB}, {other}\n{HUB}; http://example.com/x.pt") == [HUB, other, "http://example.com/x.pt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a link"),
        ("a model", "is not a link"),
        ("https://[x", "incomplete"),
        ("https:///x.safetensors", "incomplete"),
        ("https://a:b/x", "incomplete"),
        (f"{HUB} and https://example.com/x.pt", "There are 2 links"),
        ("http://example.com/x.pt", "not encrypted"),
    ],
)
def test_what_is_no_link_gets_one_sentence(text: str, says: str) -> None:
    with pytest.raises(Problem, match=says):
        one_link(text)


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        (
            "https://civitai.com/api/download/models/7?type=VAE&token=secret",
            "https://civitai.com/api/download/models/7?type=VAE",
        ),
        ("https://me:secret@example.com/x.pt", "https://example.com/x.pt"),
        ("https://store.example.com/x.pt?X-Amz-Signature=secret&id=3#secret", "https://store.example.com/x.pt?id=3"),
        ("take https://example.com/x?key=secret please", "take https://example.com/x please"),
        ("civitai.com/api/download/models/7?token=secret", "civitai.com/api/download/models/7"),
        ("take example.com:8443/x.pt?type=VAE&key=secret#secret", "take example.com/x.pt?type=VAE"),
        ("me:secret@example.com/x.pt?key=secret", "example.com/x.pt"),
        ("--ckpt-dir models/v1.5/x.pt --vae a.b/c.pt", "--ckpt-dir models/v1.5/x.pt --vae a.b/c.pt"),
        ("urn:air:sd1:lora:civitai:3@7.safetensors", "urn:air:sd1:lora:civitai:3@7.safetensors"),
        (f'wget --header="Authorization: Bearer secret" {HUB}', f'wget --header="Authorization: Bearer …" {HUB}'),
        (f"CIVITAI_TOKEN=secret aria2c {HUB}", f"CIVITAI_TOKEN=… aria2c {HUB}"),
        ("hf download a/b --token hf_secret", "hf download a/b --token …"),
        ("hf_secret", "…"),
        ("0123456789abcdef0123456789abcdef", "…"),
        ("the key words of a token", "the key words of a token"),
        ("magnet:?xt=urn:btih:abc&tr=https://tracker.example.com/secret", "magnet:"),
        (HUB, HUB),
    ],
)
def test_secrets_in_a_link_are_never_shown(link: str, shown: str) -> None:
    assert without_secrets(link) == shown


def test_what_is_no_link_is_shown_without_its_password() -> None:
    with pytest.raises(Problem, match=r"'example\.com/x\.pt' is not a link"):
        one_link("me:secret@example.com/x.pt")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="a b.safetensors"', "a b.safetensors"),
        ("attachment; filename=a.ckpt; size=3", "a.ckpt"),
        ("attachment; filename=my model (v1).ckpt", "my model (v1).ckpt"),
        ("attachment; filename=\"old.ckpt\"; filename*=UTF-8''n%C3%A9w.ckpt", "néw.ckpt"),
        ("attachment; filename*=utf-8''%E7%8C%AB.safetensors", "猫.safetensors"),
        ("attachment; filename*=iso-8859-1'en'%E4.pt", "ä.pt"),
        ("attachment; FileName*=nonsense''a.pt", "a.pt"),
        ('attachment; filename="' + "猫.pt".encode().decode("latin-1") + '"', "猫.pt"),
        ('attachment; filename="=?UTF-8?B?54yrLnB0?="', "猫.pt"),
        ('attachment; filename="=?UTF-8?Q?=E7=8C=AB=2Ept?="', "猫.pt"),
        ('attachment; filename="a%20b.pt"', "a b.pt"),
        ('attachment; filename="a\\"b.pt"', 'a"b.pt'),
        ("attachment; filename='a b.pt'", "a b.pt"),
        ("attachment; filename=plain.pt; filename*=UTF-8''", "plain.pt"),
        ("inline", ""),
        ("", ""),
        pytest.param("(" * 2000, "", id="many brackets"),
    ],
)
def test_the_name_a_server_states_is_read_in_each_way_it_is_written(header: str, name: str) -> None:
    assert stated_name(header) == name


@pytest.mark.parametrize(
    "name",
    ["style [v2].safetensors", "🐈 cat.safetensors", "👩‍🎨.pt", "a (1).ckpt", "日本語のモデル.safetensors", "a+b,c.pt"],
)
def test_brackets_emoji_and_spaces_stay_in_a_name(name: str) -> None:
    assert safe_name(name) == name


def test_a_name_that_is_too_long_is_shortened_and_keeps_its_ending() -> None:
    name = safe_name("猫" * 200 + ".safetensors")
    assert len(name.encode()) <= 200
    assert name.endswith("猫.safetensors")


@pytest.mark.parametrize("name", ["a\x00b.pt", "a\u202etp.exe.pt", "\ud800.pt", "a/../b.pt", "a:b|c.pt"])
def test_what_could_mislead_is_taken_out_of_a_name(name: str) -> None:
    safe = safe_name(name)
    assert not set(safe) & set("\x00\u202e\ud800/:|")
    assert safe.endswith(".pt")


@pytest.mark.parametrize("name", ["model.rar", "model.7z", "model.tar.gz"])
def test_a_packed_file_is_said(name: str) -> None:
    with pytest.raises(Problem, match="is an archive"):
        safe_name(name)


@pytest.mark.parametrize(
    ("value", "range_"),
    [
        ("bytes 0-9/10", (0, 10, 10)),
        ("bytes 5-9/*", None),
        ("bytes */10", None),
        ("bytes 9-5/10", None),
        ("bytes 0-10/10", None),
        ("items 0-9/10", None),
        ("bytes 0-9/²", None),
    ],
)
def test_a_content_range_is_taken_only_if_it_can_be_true(value: str, range_: tuple[int, int, int] | None) -> None:
    assert content_range(value) == range_


def test_a_key_in_a_link_to_civitai_is_used_and_never_shown() -> None:
    wanted = civitai.detect("https://civitai.com/api/download/models/7?type=Model&token=secret")
    assert wanted
    assert wanted.key == "secret"
    assert "secret" not in repr(wanted)


def test_a_name_in_a_query_is_found() -> None:
    assert name_in("https://example.com/get?file=models/x.safetensors&v=2") == "x.safetensors"


def test_a_redirect_out_of_the_encryption_is_refused() -> None:
    answer = requests.Response()
    answer.status_code, answer.url = 302, "https://example.com/x.pt"
    answer.headers["Location"] = "http://example.com/x.pt"
    with pytest.raises(Problem, match="not encrypted"):
        WebSession().get_redirect_target(answer)
    answer.headers["Location"] = "/y.pt"
    assert WebSession().get_redirect_target(answer) == "/y.pt"


def test_a_server_that_is_asked_says_size_and_version() -> None:
    liar = Liar(b"x" * 5000)
    try:
        found = probe(Remote(liar.url, "x.pt"))
        assert (found.size, found.validator) == (5000, liar.etag())
    finally:
        liar.close()
