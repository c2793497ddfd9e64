"""Links to Hugging Face: a file, its page, or a repository with one model."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from launcher.core.child_environment import PROXIES, also_look_at
from launcher.core.problem import Problem
from launcher.core.retry import retrying
from launcher.models.catalog import HubFile
from launcher.models.http import seconds_to_wait
from launcher.models.pasted import safe_name
from launcher.models.remote import Remote, TokenNeeded

HOSTS: Final = ("huggingface.co", "hf.co")
TOKEN: Final = "HF_TOKEN"  # the secret's name
TOKEN_PAGE: Final = "https://huggingface.co/settings/tokens/new?canReadGatedRepos=true&tokenType=fineGrained"
LONGEST_HUB_WAIT: Final = 10.0  # seconds; a hub that asks for more is asked with a token instead
REPO_TYPES: Final = {"datasets": "dataset", "spaces": "space"}
T = TypeVar("T")


class NoSuchRevision(Problem):
    """The repository is there, the branch is not."""


@dataclass(frozen=True)
class HubLink:
    """What a link to Hugging Face asks for: files it may mean, likeliest first, or a repository."""

    files: tuple[HubFile, ...] = ()
    repo: HubFile | None = None  # its file name is what stands behind a #


def detect(link: str) -> HubLink | None:
    parts = urlsplit(link)
    if (parts.hostname or "").removeprefix("www.") not in HOSTS:
        return None
    first, _, rest = parts.path.lstrip("/").partition("/")
    repo_type = REPO_TYPES.get(first, "model")
    path = rest if first in (*REPO_TYPES, "models") else f"{first}/{rest}"
    match = re.fullmatch(r"([^/]+/[^/]+)/(?:blob|resolve|raw)/(.+)", path)
    if match:
        # A branch's name may hold slashes, encoded or not: every cut that can be meant, likeliest first.
        words = match[2].split("/")
        cuts = [("/".join(words[:at]), "/".join(words[at:])) for at in range(1, len(words))]
        cuts.sort(key=lambda cut: not re.fullmatch(r"refs/(?:pr|convert)/[^/]+", cut[0]))
        named = [(unquote(name), unquote(revision)) for revision, name in cuts if revision and name]
        return HubLink(tuple(HubFile(unquote(match[1]), *one, repo_type=repo_type) for one in named))
    match = re.fullmatch(r"([^/]+/[^/]+)(?:/tree/([^?]+?))?/?", path)
    if match and first not in ("docs", "blog", "settings", "spaces", "papers", "collections"):
        revision = unquote(match[2] or "main")
        return HubLink(repo=HubFile(unquote(match[1]), unquote(parts.fragment), revision, repo_type=repo_type))
    return HubLink()


def resolve(wanted: HubLink, token: str) -> Remote:
    """A file's page, a file, or a repository with one file of weights (or one named behind a #)."""
    if wanted.repo:
        return resolve_hub_file(only_model(wanted.repo, token), token)
    failures: list[Problem] = []
    for file in wanted.files:
        try:
            return resolve_hub_file(file, token)
        except NoSuchRevision as problem:
            failures.append(problem)
    raise failures[0] if failures else no_model()


def only_model(repo: HubFile, token: str) -> HubFile:
    """The one model file in a repository, or the one that is named."""
    from huggingface_hub import HfApi

    about: dict[str, Any] = {"revision": repo.revision, "repo_type": repo.repo_type, "token": token or False}
    told = ask_hub(repo, token, lambda: HfApi().repo_info(repo.repo, **about))
    names = [file.rfilename for file in getattr(told, "siblings", None) or []]
    weights = [name for name in names if name.lower().endswith((".safetensors", ".ckpt"))]
    at_top = [name for name in weights if "/" not in name]
    picked = [repo.filename] if repo.filename in weights else at_top
    if len(picked) == 1:
        return replace(repo, filename=picked[0])
    if not at_top:
        raise Problem(f"{repo.repo} has no model file that A1111 can use.", f"Look at {repo.page} for another link.")
    raise Problem(
        f"{repo.repo} has {len(at_top)} model files: {', '.join(at_top[:8])}.",
        f"Add # and one of the names to the link, for example {repo.page}#{at_top[0]}.",
    )


def resolve_hub_file(file: HubFile, token: str) -> Remote:
    """Ask the hub for size and SHA-256 before the first byte.

    Raises `TokenNeeded` where a token would help, else another `Problem`. To the hub a 401 without a code means that
    there is no such repository, not that a token is wanted (huggingface_hub, utils/_http.py).
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # here: it takes half a second, most starts need none

    def question() -> Any:
        url = hf_hub_url(file.repo, file.filename, revision=file.revision, repo_type=file.repo_type)
        return url, get_hf_file_metadata(url, token=token or False, timeout=10)

    url, told = ask_hub(file, token, question)
    etag = (told.etag or "").strip('"')
    sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else ""
    if (file.sha256 and sha256 and file.sha256 != sha256) or (file.size and told.size and file.size != told.size):
        raise Problem(
            f"{file.saved_name} at {file.repo} has changed: its size or checksum is different now.",
            "Another source is tried; if there is none, choose another model.",
        )
    return Remote(
        url,
        safe_name(file.saved_name),
        told.size or file.size,
        sha256 or file.sha256,
        file.page,
        token,
        title=file.title,
    )


def ask_hub(file: HubFile, token: str, question: Callable[[], T]) -> T:
    """What the hub's client says; where the hub is busy or silent, after a few tries. Raises `Problem`."""
    try:
        return retrying(question, seconds_asked)
    except Exception as error:
        raise hub_problem(file, error, bool(token)) from error


def seconds_asked(error: Exception) -> float | None:
    """How long to wait before asking again, where that may help: the hub is busy, broken, or silent."""
    response: Any = getattr(error, "response", None)
    if response is None:
        return 0.0 if is_silence(error) else None
    asked = seconds_to_wait(response.headers)
    may_pass = response.status_code in (408, 429) or response.status_code >= 500
    return asked if may_pass and asked <= LONGEST_HUB_WAIT else None


def is_silence(error: Exception) -> bool:
    """True for what the hub's client raises when nobody answers, whichever HTTP library it uses."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")


def no_model() -> Problem:
    return Problem(
        "The link leads to a page on Hugging Face that is not a model.",
        "Open **Files and versions** there and copy the link of the model file.",
    )


def hub_problem(file: HubFile, error: Exception, with_token: bool) -> Exception:
    """The hub's refusals, each with its sentence and the page to open. An error that is none of them is given back."""
    response: Any = getattr(error, "response", None)
    if isinstance(error, ValueError):  # what cannot be the name of a repository
        return no_model()
    if response is None:
        if not is_silence(error):
            return error
        return Problem(
            f"Hugging Face does not answer ({type(error).__name__}).",
            "Wait a few minutes and press ▶ again." + also_look_at(("HF_ENDPOINT", "HF_HUB_OFFLINE", *PROXIES)),
        )
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    said = f"{getattr(error, 'server_message', '') or ''} {error}".lower()
    busy = ("Hugging Face says that too many requests were made.", "Wait a few minutes and press ▶ again.")
    if status == 401 and code == "GatedRepo":
        return TokenNeeded(
            TOKEN, f"{file.repo} is available only to people who have accepted its conditions.", file.page
        )
    if status == 429 and not with_token:
        why = "Hugging Face gets too many requests from this runtime's address; a token has a limit of its own."
        return TokenNeeded(TOKEN, why, TOKEN_PAGE, without=busy)
    if status == 404 and code == "RevisionNotFound":
        return NoSuchRevision(f"{file.repo} has no branch {file.revision[:40]!r}.", f"Look at {file.page}/tree/main.")
    meanings = (
        (status == 429, *busy),
        (status == 403 and code == "GatedRepo",
            f"Your Hugging Face account has not accepted the conditions of {file.repo}.",
            f"Open {file.page}, accept them, and press ▶ again."),
        (status == 403 and "fine-grained" in said,
            "Your Hugging Face token does not have permission to read gated repositories.",
            f"Make one with that permission at {TOKEN_PAGE}, save it as the Colab secret {TOKEN}, and press ▶ again."),
        (status == 401 and "invalid credentials" in said,
            "Hugging Face does not know your token: it is mistyped or was deleted.",
            f"Make a new one at {TOKEN_PAGE}, save it as the Colab secret {TOKEN}, and press ▶ again."),
        (status in (401, 404) and code in ("RepoNotFound", ""),
            f"{file.repo} is gone from Hugging Face, or private.",
            f"Look at {file.page}; if it is gone, choose another model."),
        (status == 404,
            f"{file.filename} is not in {file.repo} any more.",
            f"Look at {file.page}/tree/main for its new name, or choose another model."),
        (True, f"Hugging Face has a problem of its own (HTTP {status}).", "Wait a few minutes and press ▶ again."),
    )  # fmt: skip
    return next(Problem(what, do) for applies, what, do in meanings if applies)
