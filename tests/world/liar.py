"""A server that lies about one file, in each way that was seen or feared: `LIES` names them.

It speaks HTTP/1.1 with ranges, ETag and Last-Modified, as an honest one does, except where its lie says otherwise.
"""

import hashlib
import re
import threading
import time
from math import inf
from typing import Any, Final

from tests.world.listen import end, listen

LIES: Final = {
    "other offset": "each range but the first comes from another place, and Content-Range says so",
    "other offset, hidden": "the same, and Content-Range says what was asked for",
    "no content-range": "206 without a Content-Range, with the right bytes",
    "no content-range, wrong": "206 without a Content-Range, with bytes from another place",
    "whole as 206": "the whole file as 206, and Content-Range says so",
    "whole as 206, bare": "the whole file as 206 without a Content-Range",
    "whole as 206, hidden": "the whole file as 206, and Content-Range says what was asked for",
    "one byte off": "one range is shifted by a byte, its headers are right",
    "page as a range": "one range is a web page",
    "page as a range, hidden": "one range is a web page of the right length, called bytes",
    "page": "a web page with status 200 and the right length",
    "changes": "after the third answer it is another file of the same length, with another ETag",
    "changes, no etag": "the same without ETag and Last-Modified",
    "changes, same etag": "the same, but the ETag stays",
    "ignores if-range": "it changes, says so by the ETag, and does not hear If-Range",
    "empty": "206 with not one byte",
    "short": "each answer ends after half of what it promises",
    "total grows": "Content-Range tells another total each time",
    "gzip": "it packs the range",
    "ignores ranges": "200 with the whole file, whatever was asked",
    "416": "every range is out of range",
    "other hash": "an X-Linked-Etag that is not the file's SHA-256",
}
HONEST: Final = "honest"
WEAK: Final = "honest, with a weak ETag"  # one that stands for many versions: If-Range never fits it (RFC 9110, 13.1.5)
HEADER: Final = 400  # bytes that stay when the file changes, so that it is still a model
PAGE: Final = b"<!doctype html><title>Log in</title>"


class Liar:
    """Serves `content` under any path; `answers` counts. After `gives` bytes of all bodies it falls silent."""

    def __init__(self, content: bytes, lie: str = HONEST, stretch: int = 8 << 20, gives: float = inf) -> None:
        self.content, self.lie, self.stretch, self.answers = content, lie, stretch, 0
        self.gives, self.given = gives, 0
        self._lock = threading.Lock()
        self.server = listen(self.answer, "GET")
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/file"

    def close(self) -> None:
        self.gives = inf
        end(self.server)

    def change(self) -> None:
        """It is another file from now on."""
        self.content = self.content[:HEADER] + self.content[HEADER:].translate(bytes(255 - byte for byte in range(256)))

    def answer(self, request: Any) -> None:
        with self._lock:
            self.answers += 1
            count = self.answers
            if count == 4 and ("changes" in self.lie or self.lie == "ignores if-range"):
                self.change()
        try:
            self._lie(request, count)
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True

    def in_third_stretch(self, start: int) -> bool:
        """True for the request that begins there, or a little before."""
        return 2 * self.stretch >= start > 2 * self.stretch - 4096

    def etag(self) -> str:
        return f'"{hashlib.md5(self.content[-64:]).hexdigest()}"'

    def _lie(self, request: Any, count: int) -> None:
        lie, content, size = self.lie, self.content, len(self.content)
        headers = {"ETag": self.etag(), "Content-Type": "application/octet-stream"}
        if lie == "changes, same etag":
            headers["ETag"] = '"always"'
        if lie == "changes, no etag":
            del headers["ETag"]
        if lie == "other hash":
            headers["X-Linked-Etag"] = "0" * 64
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if lie == WEAK:
            headers["ETag"] = f"W/{headers['ETag']}"
        condition = request.headers.get("If-Range")
        fresh = condition is None or (condition == headers.get("ETag") and lie != WEAK) or lie == "ignores if-range"
        if not asked or not fresh or lie == "ignores ranges":
            body = PAGE.ljust(size) if lie == "page" else content
            return self._send(request, 200, headers, body, half=False)
        start, end = int(asked[1]), min(int(asked[2] or size - 1) + 1, size)
        if lie == "416":
            return self._send(request, 416, {"Content-Range": f"bytes */{size}"}, b"", half=False)
        said, body, later = f"bytes {start}-{end - 1}/{size}", content[start:end], start > 0 and end - start > 1
        elsewhere = content[max(0, start - 5000) : max(0, start - 5000) + end - start]
        if lie == "other offset" and later:
            first = max(0, start - 5000)
            said, body = f"bytes {first}-{first + len(elsewhere) - 1}/{size}", elsewhere
        elif lie in ("other offset, hidden", "no content-range, wrong") and later:
            body = elsewhere
        elif lie.startswith("whole as 206") and end - start > 1:
            said, body = (f"bytes 0-{size - 1}/{size}" if lie == "whole as 206" else said), content
        elif lie == "one byte off" and later and self.in_third_stretch(start):
            body = content[start - 1 : end - 1]
        elif lie == "page as a range" and later:
            body, headers["Content-Type"] = PAGE, "text/html"
        elif lie == "page as a range, hidden" and later and self.in_third_stretch(start):
            body = PAGE.ljust(end - start)
        elif lie == "page":
            body = (PAGE.ljust(size))[start:end]
        elif lie == "empty" and end - start > 1:
            body = b""
        elif lie == "total grows" and end - start > 1:
            said = f"bytes {start}-{end - 1}/{size + count}"
        elif lie == "gzip" and end - start > 1:
            headers["Content-Encoding"] = "gzip"
        if not (lie.startswith("no content-range") or lie == "whole as 206, bare") or end - start == 1:
            headers["Content-Range"] = said
        return self._send(request, 206, headers, body, half=lie == "short" and end - start > 1)

    def _send(self, request: Any, status: int, headers: dict[str, str], body: bytes, *, half: bool) -> None:
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if half:
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            return
        for at in range(0, len(body), 1 << 18):
            piece = body[at : at + (1 << 18)]
            while self.given + len(piece) > self.gives:
                time.sleep(0.01)
            with self._lock:
                self.given += len(piece)
            request.wfile.write(piece)
            time.sleep(0)
