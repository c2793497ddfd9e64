"""What a service takes over from the kernel that asks it."""

import os
from pathlib import Path

import pytest

from launcher.core.child_environment import adopt


def test_certificates_that_are_gone_are_not_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    adopt({"REQUESTS_CA_BUNDLE": str(tmp_path / "none"), "SSL_CERT_DIR": str(tmp_path), "HTTP_PROXY": "http://p:1"})
    assert "REQUESTS_CA_BUNDLE" not in os.environ, "every request would fail"
    assert (os.environ["SSL_CERT_DIR"], os.environ["HTTP_PROXY"]) == (str(tmp_path), "http://p:1")
