"""A package index with toy wheels, and a place for Python's archive: whole, or broken as the real ones break."""

import base64
import hashlib
import io
import threading
import time
import zipfile
from typing import Any

from tests.world.listen import end, listen


def wheel_name(name: str, version: str, tag: str = "py3-none-any") -> str:
    return f"{name.replace('-', '_')}-{version}-{tag}.whl"


def wheel(
    name: str, version: str, files: dict[str, bytes], requires: tuple[str, ...] = (), tag: str = "py3-none-any"
) -> bytes:
    """The bytes of a wheel with these files."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    content = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\nA toy.\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in content.items()
    )
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return made.getvalue()


class Index:
    """Serves PEP 503 pages and wheels on loopback; `sent` counts the bytes of each wheel."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sent: dict[str, int] = {}
        self.asked: list[str] = []
        self.status = 200  # of every answer
        self.html = False  # a login page in place of everything
        self.cut = False  # wheels end after half their bytes
        self.rate = 0.0  # bytes a second of a wheel; 0: as fast as can be
        self.stalls: set[str] = set()  # names of packages (with _) whose wheels stop after half their bytes
        self.anything = b""  # the content of every file that is not there
        self.over = threading.Event()
        self.server = listen(self.answer, "GET", "HEAD")
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.base}/simple"

    def add(self, name: str, version: str, files: dict[str, bytes] | None = None, **more: Any) -> str:
        """Put a toy package on the index; returns its wheel's SHA-256."""
        made = wheel(name, version, files or {f"{name.replace('-', '_')}.py": b"yes = True\n"}, **more)
        self.files[wheel_name(name, version, more.get("tag", "py3-none-any"))] = made
        return hashlib.sha256(made).hexdigest()

    def answer(self, request: Any) -> None:
        path = request.path.split("?")[0].split("#")[0]
        self.asked.append(path)
        name = path.rstrip("/").rpartition("/")[2]
        body, kind, status = b"", "text/html", self.status
        if status == 200 and self.html:
            body = b"<html><body>Please log in to this network</body></html>"
        elif status == 200 and path.startswith("/simple/"):
            mine = [file for file in self.files if file.split("-")[0].replace("_", "-").lower() == name]
            status = 200 if mine else 404
            hashes = {file: hashlib.sha256(self.files[file]).hexdigest() for file in mine}
            body = "".join(f'<a href="/files/{file}#sha256={hashes[file]}">{file}</a>\n' for file in mine).encode()
        elif status == 200 and name in self.files:
            body, kind = self.files[name], "application/octet-stream"
        elif status == 200 and self.anything:
            body, kind = self.anything, "application/octet-stream"
        elif status == 200:
            status = 404
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command == "HEAD":
            return
        if self.cut and kind != "text/html":
            request.wfile.write(body[: len(body) // 2])
            request.close_connection = True
            return
        self.send(request, name, body, kind != "text/html")

    def send(self, request: Any, name: str, body: bytes, counts: bool) -> None:
        step = max(1, int(self.rate / 10)) if self.rate and counts else len(body) // 4 or 1
        try:
            for start in range(0, len(body), step):
                piece = body[start : start + step]
                request.wfile.write(piece)
                if counts:
                    self.sent[name] = self.sent.get(name, 0) + len(piece)
                if (
                    counts
                    and name.split("-", maxsplit=1)[0].replace("_", "-") in self.stalls
                    and start >= len(body) / 2
                ):
                    self.over.wait()
                if self.rate and counts:
                    time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            request.close_connection = True

    def close(self) -> None:
        self.over.set()
        end(self.server)

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
