"""Sites under their own https addresses: what this process asks them is answered by stand-ins of this machine."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.world.tls import certificates, pass_on, serving

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def internet(root: Path, patch: pytest.MonkeyPatch, sites: Mapping[str, int]) -> Iterator[None]:
    """`sites`: host -> the port of the stand-in that answers for it; no other host answers.

    Led there as people behind a company's proxy are: by variables.
    """
    context = certificates(root, *sites)

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            host = head.split()[1].partition(":")[0]
            if head.startswith("CONNECT ") and host in sites:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.start_tls(context)
                await pass_on(sites[host], reader, writer)
        writer.close()

    with serving(visitor) as port:
        for name in PROXIES:
            patch.setenv(name, f"http://127.0.0.1:{port}")
        for name in CERTIFICATES:
            patch.setenv(name, str(root / "ca.pem"))
        for name in ("NO_PROXY", "no_proxy"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield
