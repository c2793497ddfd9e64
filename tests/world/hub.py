"""A stand-in for the Hugging Face hub: what `huggingface_hub` and plain ranged GETs need over plain HTTP (no xet).

Repositories are folders ROOT/OWNER/NAME; every revision is the same. What is asked for is written to `log`.
"""

import hashlib
import itertools
import json
import re
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.world.listen import end, listen

COMMIT = "a" * 40
NO_REPOSITORY = {False: "Invalid username or password.", True: "Repository not found"}  # with a token, or without


@dataclass
class Hub:
    """`gated`: repository -> tokens that were granted access; `tokens`: token -> {"name", "gated_ok"}, others are
    invalid.

    `fail`: part of a path -> (status, headers, body). `cut_after`: bytes after which one answer is cut off, once.
    `rate`: bytes a second of one answer. `redirect`: answer 302 to another origin, as the hub does to its CDN, which
    refuses the next `expired` answers, and each signed address after `signed_for` answers: it is too old.
    `gives`: bytes of files, of all answers, after which nothing more comes before it is given more.
    `no_ranges`: answer with the whole file, whatever was asked. `busy`: answer those without a token with 429.
    """

    root: Path
    gated: dict[str, set[str]] = field(default_factory=dict)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    fail: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    cut_after: int | None = None
    rate: int | None = None
    gives: float = inf
    redirect: bool = False
    expired: int = 0
    signed_for: int | None = None
    no_ranges: bool = False
    busy: bool = False
    stall: bool = False
    private: dict[str, set[str]] = field(default_factory=dict)  # repository -> tokens that may see that it is there
    branches: dict[str, set[str]] = field(default_factory=dict)  # repository -> its branches, where not all are taken
    lie: dict[str, str] = field(default_factory=dict)  # file name -> a wrong SHA-256 to state
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self._sums: dict[tuple[Path, int, int], str] = {}
        self._answers: Counter[str] = Counter()  # signed address -> how often it was asked
        self._signatures = itertools.count(1)
        self.servers = [listen(self.handle, "HEAD", "GET") for _ in range(2)]  # the hub, and its CDN on another origin
        self.port, self.cdn_port = (server.server_address[1] for server in self.servers)
        self.url, self.cdn = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.cdn_port}"

    def close(self) -> None:
        self.gives = inf
        for server in self.servers:
            end(server)

    def add(self, repo: str, name: str, content: bytes) -> Path:
        """Put a file into a repository."""
        path = self.root / repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def sent(self, part: str = "") -> int:
        """Bytes of files sent for paths that contain `part`. The one by which a link is asked for its size is none."""
        fetched = (entry for entry in self.log if entry["method"] == "GET" and entry["range"] != "bytes=0-0")
        return sum(entry["sent"] for entry in fetched if part in entry["path"])

    def sha256(self, path: Path) -> str:
        info = path.stat()
        key = (path, info.st_mtime_ns, info.st_size)
        if key not in self._sums:
            with path.open("rb") as file:
                self._sums[key] = hashlib.file_digest(file, "sha256").hexdigest()
        return self.lie.get(path.name, self._sums[key])

    def handle(self, request: Any) -> None:
        entry = {
            "method": request.command,
            "path": request.path,
            "auth": request.headers.get("Authorization"),
            "range": None if self.no_ranges else request.headers.get("Range"),
            "at": time.monotonic(),
            "cdn": request.server is self.servers[1],
            "status": None,
            "sent": 0,
        }
        self.log.append(entry)
        try:
            self._route(request, entry)
        except (BrokenPipeError, ConnectionResetError):
            entry["cut"] = "by the client"
            request.close_connection = True

    def _route(self, request: Any, entry: dict[str, Any]) -> None:
        path = request.path.split("?")[0]
        for part, (status, headers, body) in self.fail.items():
            if part in request.path:
                return self._reply(request, entry, status, headers, body)
        if self.busy and not entry["cdn"] and not entry["auth"]:
            return self._reply(request, entry, 429, {"ratelimit": '"resolvers";r=0;t=201'}, b"")
        if entry["cdn"]:
            self._answers[request.path] += 1
            too_old = self.signed_for is not None and self._answers[request.path] > self.signed_for
            if self.expired or too_old:
                self.expired -= bool(self.expired)
                return self._reply(request, entry, 403, {}, b"expired")
        if entry["cdn"]:
            return self._file(request, entry, self.root / unquote(path.lstrip("/")))
        token = (entry["auth"] or "").removeprefix("Bearer ") or None
        if token and token not in self.tokens:
            return self._error(request, entry, 401, None, "Invalid credentials in Authorization header")
        found = re.fullmatch(r"/api/(?:models|datasets|spaces)/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        if found:
            return self._repository(request, entry, found[1], unquote(found[2] or "main"), token)
        found = re.fullmatch(r"(?:/datasets|/spaces)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not found:
            return self._error(request, entry, 404, None, "Sorry, we can't find the page you are looking for.")
        repo, file = found[1], self.root / found[1] / unquote(found[3])
        if not self._is_seen(repo, token):
            return self._error(request, entry, 404 if token else 401, "RepoNotFound", NO_REPOSITORY[bool(token)])
        if not self._gate(request, entry, repo, token):
            return None
        if unquote(found[2]) not in self.branches.get(repo, {unquote(found[2])}):
            return self._error(request, entry, 404, "RevisionNotFound", "Invalid rev id")
        if not file.is_file():
            return self._error(request, entry, 404, "EntryNotFound", "Entry not found")
        if self.redirect:
            size, etag = file.stat().st_size, f'"{self.sha256(file)}"'
            signed = f"{self.cdn}/{repo}/{found[3]}?signature={next(self._signatures)}"
            headers = {
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(size),
                "X-Linked-Etag": etag,
                "Accept-Ranges": "bytes",
            }
            return self._reply(request, entry, 302, {"Location": signed, **headers})
        return self._file(request, entry, file, {"X-Repo-Commit": COMMIT})

    def _is_seen(self, repo: str, token: str | None) -> bool:
        """A private repository is one that is not there, for others."""
        return (self.root / repo).is_dir() and token in self.private.get(repo, {token})

    def _repository(self, request: Any, entry: dict[str, Any], repo: str, branch: str, token: str | None) -> None:
        if not self._is_seen(repo, token):
            return self._error(request, entry, 404 if token else 401, "RepoNotFound", NO_REPOSITORY[bool(token)])
        if branch not in self.branches.get(repo, {branch}):
            return self._error(request, entry, 404, "RevisionNotFound", "Invalid rev id")
        files = [p for p in sorted((self.root / repo).rglob("*")) if p.is_file()]
        siblings = [
            {
                "rfilename": str(p.relative_to(self.root / repo)),
                "size": p.stat().st_size,
                "lfs": {"size": p.stat().st_size, "sha256": self.sha256(p), "pointerSize": 135},
            }
            for p in files
        ]
        body = {
            "id": repo,
            "modelId": repo,
            "sha": COMMIT,
            "private": False,
            "gated": repo in self.gated,
            "siblings": siblings,
        }
        return self._reply(request, entry, 200, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _gate(self, request: Any, entry: dict[str, Any], repo: str, token: str | None) -> bool:
        if repo not in self.gated:
            return True
        start = f"Access to model {repo} is restricted"
        if not token:
            self._error(
                request,
                entry,
                401,
                "GatedRepo",
                f"{start}. You must have access to it and be authenticated to access it. Please log in.",
            )
        elif not self.tokens[token].get("gated_ok", True):
            self._error(
                request,
                entry,
                403,
                None,
                "Please enable access to public gated repositories in your fine-grained token settings to view this "
                "repository.",
            )
        elif token not in self.gated[repo]:
            self._error(
                request,
                entry,
                403,
                "GatedRepo",
                f"{start} and you are not in the authorized list. Visit https://huggingface.co/{repo} to ask "
                "for access.",
            )
        else:
            return True
        return False

    def _error(self, request: Any, entry: dict[str, Any], status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._reply(request, entry, status, headers, json.dumps({"error": message}).encode())

    def _reply(
        self, request: Any, entry: dict[str, Any], status: int, headers: dict[str, Any], body: bytes = b""
    ) -> None:
        entry["status"] = status
        request.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            request.send_header(name, str(value))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def _file(self, request: Any, entry: dict[str, Any], path: Path, extra: dict[str, str] | None = None) -> None:
        size, start, status = path.stat().st_size, 0, 200
        end = size - 1
        headers = {
            "ETag": f'"{self.sha256(path)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            **(extra or {}),
        }
        if entry["range"]:
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", entry["range"])
            assert found
            start, end = int(found[1]), min(int(found[2] or size - 1), size - 1)
            if start >= size:
                return self._reply(request, entry, 416, {"Content-Range": f"bytes */{size}"})
            status, headers["Content-Range"] = 206, f"bytes {start}-{end}/{size}"
        entry["status"] = status
        request.send_response(status)
        for name, value in {**headers, "Content-Length": end - start + 1}.items():
            request.send_header(name, str(value))
        request.end_headers()
        if request.command == "HEAD":
            return None
        cut, self.cut_after = self.cut_after, None
        if self.stall:
            time.sleep(3600)
        began, left = time.monotonic(), end - start + 1
        with path.open("rb") as file:
            file.seek(start)
            while left:
                if cut is not None and entry["sent"] >= cut:
                    entry["cut"] = "by the server"
                    request.close_connection = True
                    request.connection.shutdown(socket.SHUT_RDWR)
                    return None
                while self.sent() >= self.gives:
                    time.sleep(0.02)
                whole = self.rate is None and cut is None and self.gives == inf
                piece = file.read(min(1 << 20 if whole else 1 << 16, left))
                request.wfile.write(piece)
                entry["sent"] += len(piece)
                left -= len(piece)
                if self.rate:
                    time.sleep(max(0.0, entry["sent"] / self.rate - (time.monotonic() - began)))
        return None
