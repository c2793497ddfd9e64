"""What a service takes over from the kernel that asks it."""

import os
from pathlib import Path

import pytest
from requests.utils import get_environ_proxies

from launcher.core.child_environment import adopt, child_environment
from launcher.core.tools import installer_environment


def test_certificates_that_are_gone_are_not_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    adopt({"REQUESTS_CA_BUNDLE": str(tmp_path / "none"), "SSL_CERT_DIR": str(tmp_path), "HTTP_PROXY": "http://p:1"})
    assert "REQUESTS_CA_BUNDLE" not in os.environ, "every request would fail"
    assert (os.environ["SSL_CERT_DIR"], os.environ["HTTP_PROXY"]) == (str(tmp_path), "http://p:1")


@pytest.mark.parametrize(("value", "passes"), [("max_split_size_mb=512", False), ("max_split_size_mb:512", True)])
def test_a_setting_that_torch_cannot_read_is_not_handed_on(
    monkeypatch: pytest.MonkeyPatch, value: str, passes: bool
) -> None:
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", value)
    assert ("PYTORCH_CUDA_ALLOC_CONF" in child_environment()) == passes


def test_pips_index_is_uvs_where_uv_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    assert installer_environment()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    monkeypatch.setenv("UV_INDEX_URL", "https://other.example/simple")
    assert "UV_DEFAULT_INDEX" not in installer_environment()


def test_a_proxy_is_never_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    adopt({"HTTP_PROXY": "http://p:1", "no_proxy": "intern.example"})
    assert get_environ_proxies("http://127.0.0.1:7860/x") == get_environ_proxies("http://intern.example/") == {}
    assert get_environ_proxies("http://huggingface.co/")["http"] == "http://p:1"
