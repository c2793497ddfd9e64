"""A stand-in for GitHub: bare repositories on disk behind git's own smart HTTP server (`git http-backend`)."""

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.world.listen import end, listen, reply


def git(*arguments: str, at: Path | None = None) -> str:
    """Run git, quietly, as somebody with a name."""
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "world"), ("EMAIL", "world@example.invalid"))
    }
    where = ["-C", str(at)] if at else []
    return subprocess.run(
        ["git", *where, *arguments], env={**os.environ, **who}, check=True, capture_output=True, text=True
    ).stdout.strip()


def opened(kept: Path) -> Path:
    """A repository made anew, until the tests end, of what is kept in a folder on Drive: git proves all of it."""
    made = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, made)
    git("init", "--quiet", str(made))
    bundle = str(kept / ".source" / "commits.bundle")
    heads = git("bundle", "list-heads", bundle).splitlines()
    commits = {head.split()[0] for head in heads if " refs/oneclick/" in head}
    (made / ".git" / "shallow").write_text("".join(f"{commit}\n" for commit in sorted(commits)))
    git("fetch", "--quiet", bundle, "refs/*:refs/*", at=made)
    return made


@dataclass
class GitHost:
    """`root`/OWNER/NAME.git. `gone`: repositories answered with 404. `down`: every answer is 503. `log`: what was
    asked.
    """

    root: Path
    gone: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)  # answered with 401
    moved: dict[str, str] = field(default_factory=dict)  # a name of before -> the one of now: a redirect
    down: bool = False
    limited: bool = False  # every answer is 429
    delay: float = 0.0  # seconds before objects are sent
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.surroundings = dict(os.environ)  # a test may change this process's own later
        self.server = listen(self.handle, "GET", "POST", version="HTTP/1.0")
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def close(self) -> None:
        end(self.server)

    def environment(self) -> dict[str, str]:
        """Variables that lead git here in place of github.com."""
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.url}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
        }

    def fetches(self) -> list[str]:
        """Repositories from which objects were sent."""
        return [entry.split()[1] for entry in self.log if entry.startswith("POST") and "sent" in entry]

    def tip(self, name: str) -> str:
        """The newest commit of OWNER/NAME."""
        return git("rev-parse", "master", at=self.root / f"{name}.git")

    def add(self, name: str, files: dict[str, bytes]) -> str:
        """A commit with just these files on the branch master of OWNER/NAME; returns it."""
        bare = self.root / f"{name}.git"
        if not bare.exists():
            git("init", "--quiet", "--bare", "--initial-branch=master", str(bare))
        index = {"GIT_INDEX_FILE": str(bare / "world-index")}
        os.environ.update(index)
        try:
            git("read-tree", "--empty", at=bare)
            for path, content in files.items():
                blob = (
                    subprocess.run(
                        ["git", "-C", str(bare), "hash-object", "-w", "--stdin"],
                        input=content,
                        check=True,
                        capture_output=True,
                    )
                    .stdout.decode()
                    .strip()
                )
                git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", at=bare)
            tree = git("write-tree", at=bare)
        finally:
            del os.environ["GIT_INDEX_FILE"]
        parent = git("for-each-ref", "--format=%(objectname)", "refs/heads/master", at=bare)
        commit = git("commit-tree", tree, "-m", "world", *(["-p", parent] if parent else []), at=bare)
        git("update-ref", "refs/heads/master", commit, at=bare)
        return commit

    def _send_file(self, request: Any, name: str, place: str) -> None:
        """One file as its page's raw text: `place` is BRANCH/PATH."""
        self.log.append(f"{request.command} {name} raw")
        command = ["git", "-C", str(self.root / f"{name}.git"), "show", place.replace("/", ":", 1)]
        shown = subprocess.run(command, capture_output=True, check=False)
        request.send_response(404 if shown.returncode else 200)
        request.send_header("Content-Length", str(len(shown.stdout)))
        request.end_headers()
        request.wfile.write(shown.stdout)

    def handle(self, request: Any) -> None:
        path, _, query = request.path.partition("?")
        name = path.strip("/").split(".git")[0]
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if request.headers.get("Transfer-Encoding") == "chunked":
            while size := int(request.rfile.readline(), 16):
                body += request.rfile.read(size)
                request.rfile.readline()
        if "/raw/" in name and not self.down:
            self._send_file(request, *name.split("/raw/", 1))
            return
        if name in self.moved:
            request.send_response(301)
            request.send_header("Location", f"/{self.moved[name]}.git{path.split('.git', 1)[1]}?{query}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        code = 503 if self.down else 429 if self.limited else 401 if name in self.private else 0
        if code or name in self.gone or not (self.root / f"{name}.git").is_dir():
            self.log.append(f"{request.command} {name} refused")
            request.send_response(code or 404)
            request.send_header("WWW-Authenticate", 'Basic realm="GitHub"') if code == 401 else None
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if request.command == "POST":
            time.sleep(self.delay)
        inside = path.split(".git", 1)[1]
        environment = {
            **self.surroundings,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "PATH_INFO": f"/{name}.git{inside}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        answer = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
        ).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        self.log.append(f"{request.command} {name} {'sent' if b'packfile' in content else 'told'} {len(content)}")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        reply(request, int(headers.pop("Status", "200").split()[0]), headers, content)
