"""What the headers of an answer state: size, name, checksum, version. Servers write into them what they like."""

import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import Final
from urllib.parse import unquote

import requests

LONGEST_WAIT: Final = 60.0  # seconds, whatever a server asks for
DISPOSITION_MOST: Final = 2000  # letters of a Content-Disposition that are read


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """What a Retry-After, or the hub's ratelimit, asks for; 0.0 where there is none."""
    told = f"{headers.get('ratelimit', '')};{headers.get('Retry-After', '')}"
    numbers = [float(number) for number in re.findall(r"(?:\bt=|;)([0-9]{1,6})", told)]
    return min(LONGEST_WAIT, max(numbers, default=0.0))


def stated_size(response: requests.Response) -> int:
    """How many bytes the whole file has; 0 where the server does not say."""
    if response.status_code == 206:
        told = content_range(response.headers.get("Content-Range", ""))
        return told[2] if told else 0
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,15}", length) else 0


def content_range(value: str) -> tuple[int, int, int] | None:
    """(first byte, byte behind the last, bytes in all) of a Content-Range; None where it says nothing of use."""
    match = re.fullmatch(r"\s*bytes\s+([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})\s*", value, re.IGNORECASE)
    if not match:
        return None
    start, last, size = (int(number) for number in match.groups())
    return (start, last + 1, size) if start <= last < size else None


def stated_validator(headers: Mapping[str, str]) -> str:
    return headers.get("ETag", "") or headers.get("Last-Modified", "")


def stated_sha256(response: requests.Response) -> str:
    """The SHA-256 a server states on the way, in lower case; "" where it states none."""
    for one in (*response.history, response):
        for header in ("X-Linked-Etag", "X-Checksum-Sha256"):  # the hub and its mirrors; Artifactory
            stated = one.headers.get(header, "").strip('" ').lower()
            if re.fullmatch(r"[0-9a-f]{64}", stated):
                return stated
    return ""


def stated_name(disposition: str) -> str:
    """The file name in a Content-Disposition, as people's servers write it; "" where there is none.

    `filename*` (RFC 6266) goes before `filename`; that one may be in raw UTF-8, in RFC 2047's form, or percent-encoded.
    """
    stated = disposition[:DISPOSITION_MOST].replace("\r", " ").replace("\n", " ")
    extended = re.search(r"""filename\*\s*=[\s"]*([\w.-]*)'[\w-]*'([^";]*)""", stated, re.IGNORECASE)
    if extended:
        return decoded_name(extended[2], extended[1]).strip()
    message = Message()
    message["Content-Disposition"] = stated
    told = dict(message.get_params([], "Content-Disposition")).get("filename", "")
    if not isinstance(told, str):
        return ""
    with suppress(ValueError):  # then it was Latin-1 indeed, or has been decoded already
        told = told.encode("latin-1").decode("utf-8")  # requests reads headers as Latin-1
    if "=?" in told:
        with suppress(LookupError, ValueError, binascii.Error, HeaderParseError):
            return str(make_header(decode_header(told))).strip()
    return unquote(told).strip()


def decoded_name(percent_encoded: str, charset: str) -> str:
    try:
        return unquote(percent_encoded, charset or "utf-8", "replace")
    except (LookupError, ValueError):  # no such charset
        return unquote(percent_encoded)
