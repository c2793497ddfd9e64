"""Walks every route a web UI has, through the door and directly."""

import requests

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS")
LISTENS_FOR_EVER = ("/queue/data", "/stream", "/queue/join", "/heartbeat")
NOT_TO_BE_CALLED = (
    "server-kill",
    "server-restart",
    "server-stop",
    "/reset",
    "interrupt",
    "txt2img",
    "img2img",
    "unload-checkpoint",
    "reload-checkpoint",
    "sysinfo",
    "progress",
)
VOLATILE = ("startup-events", "app_id", "token", "memory", "profile-startup", "cmd-flags", "metrics")


def routes(direct: str) -> list[str]:
    """The paths in the web UI's own list of routes, their parameters filled in, and those it leaves out of it."""
    listed = requests.get(f"{direct}/openapi.json", timeout=60).json()["paths"]
    filled = [path.replace("{", "").replace("}", "").replace("path:", "") for path in listed]
    return sorted(
        {
            *filled,
            "/",
            "/docs",
            "/redoc",
            "/openapi.json",
            "/theme.css",
            "/favicon.ico",
            "/file=/etc/passwd",
            "/proxy=http://127.0.0.1/",
        }
    )


def walk(door: str, direct: str, login: tuple[str, str] | None) -> int:
    """Ask for every route with every method; without a login all must be refused, with it all must answer as
    directly.
    """
    asked = 0
    for path in routes(direct):
        if path.startswith(LISTENS_FOR_EVER) and login:
            continue
        for method in METHODS:
            asked += 1
            if login is None:
                answer = requests.request(method, door + path, timeout=60)
                page = requests.request(method, door + path, headers={"Accept": "text/html"}, timeout=60)
                refused = path == "/robots.txt" or (
                    answer.status_code == page.status_code == 401 and "X-Upstream" not in answer.headers
                )
                assert refused, f"{method} {path} answers a stranger with {answer.status_code}"
                continue
            if (method, path.rstrip("/")) == ("POST", "/login"):  # the door's own, as gradio_client knows it
                continue
            if method not in ("GET", "OPTIONS") and any(word in path for word in NOT_TO_BE_CALLED):
                continue
            through = requests.request(method, door + path, auth=login, timeout=120, allow_redirects=False)
            plain = requests.request(method, direct + path, timeout=120, allow_redirects=False)
            assert through.status_code == plain.status_code, (
                f"{method} {path}: {through.status_code} through the door, {plain.status_code} directly"
            )
            if not any(word in path for word in (*NOT_TO_BE_CALLED, *VOLATILE)) and method == "GET":
                assert through.headers.get("Content-Type") == plain.headers.get("Content-Type"), path
    return asked
