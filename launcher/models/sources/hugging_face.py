"""Links to Hugging Face."""

import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from launcher.core.problem import Problem
from launcher.models.catalog import HubFile
from launcher.models.kinds import Found, TokenNeeded, safe_name
from launcher.models.remote import Remote

HUB_HOSTS: Final = ("huggingface.co", "hf.co")
TOKEN_PAGE: Final = "https://huggingface.co/settings/tokens/new?canReadGatedRepos=true&tokenType=fineGrained"
HUB_RETRIES: Final = True  # the hub's own client waits and asks again when it is busy


def hub_file_of(link: str) -> HubFile | None:
    """The file a Hugging Face link leads to (its page, /blob/, or the file itself, /resolve/), else None."""
    parts = urlsplit(link)
    match = re.fullmatch(r"/([^/]+/[^/]+)/(?:blob|resolve|raw)/([^/]+)/(.+)", unquote(parts.path))
    if parts.hostname not in HUB_HOSTS or not match:
        return None
    return HubFile(match[1], match[3], revision=match[2])


def resolve_hub_link(link: str, token: str) -> Found:
    """A file's page, a file, or a repository with one file of weights (or one named behind a #)."""
    file = hub_file_of(link)
    if file:
        return Found(resolve_hub_file(file, token))
    parts = urlsplit(link)
    match = re.fullmatch(r"/([^/]+/[^/]+)(?:/tree/([^/]+))?/?", unquote(parts.path))
    if not match:
        raise Problem(
            "The link leads to a page of Hugging Face, not to a model.",
            "Open «Files and versions» there and copy the link of the model file.",
        )
    repo, revision = match[1], match[2] or "main"
    page = HubFile(repo, "")
    from huggingface_hub import HfApi

    try:
        names = [
            file.rfilename for file in HfApi().model_info(repo, revision=revision, token=token or False).siblings or []
        ]
    except OSError as error:
        raise hub_problem(page, error, bool(token)) from error
    weights = [name for name in names if name.lower().endswith((".safetensors", ".ckpt")) and "/" not in name]
    chosen = [name for name in weights if name == unquote(parts.fragment)] or weights
    if len(chosen) != 1:
        told = (
            f"{len(weights)} model files: {', '.join(weights[:8])}" if weights else "no model file that A1111 could use"
        )
        do = (
            f"Add # and one of the names to the link, for example {page.page}#{weights[0]}."
            if weights
            else f"Look at {page.page} for another link."
        )
        raise Problem(f"{repo} has {told}.", do)
    return Found(resolve_hub_file(HubFile(repo, chosen[0], revision=revision), token))


def resolve_hub_file(file: HubFile, token: str) -> Remote:
    """Ask the hub for size and SHA-256 before the first byte.

    Raises `TokenNeeded` where a token would help, else a `Problem`. The statuses and codes are those of
    facts/tunnel_hub.md B.2; 401 without a code means «no such repository», not «token wanted».
    """
    from huggingface_hub import (  # here: it takes half a second, and most starts fetch nothing
        get_hf_file_metadata,
        hf_hub_url,
    )

    url = hf_hub_url(file.repo, file.filename, revision=file.revision)
    try:
        meta = get_hf_file_metadata(url, token=token or False, timeout=10, retry_on_errors=HUB_RETRIES)
    except OSError as error:  # HfHubHTTPError and every connection error of httpx1/2 that the hub wraps
        raise hub_problem(file, error, bool(token)) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore"):
            raise unreachable_hub(error) from error
        raise
    etag = (meta.etag or "").strip('"')
    sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else ""
    if (file.sha256 and sha256 and file.sha256 != sha256) or (file.size and meta.size and file.size != meta.size):
        raise Problem(
            f"{file.saved_name} at {file.repo} is not the file it was: its size or checksum changed.",
            "Another source is tried; if there is none, choose another model.",
        )
    return Remote(url, safe_name(file.saved_name), meta.size or file.size, sha256 or file.sha256, file.page, token)


def unreachable_hub(error: Exception) -> Problem:
    """The hub did not answer at all."""
    return Problem(
        f"Hugging Face does not answer ({type(error).__name__}).",
        "Wait some minutes and press ▶ again; what is fetched already stays.",
    )


def hub_problem(file: HubFile, error: OSError, with_token: bool) -> Problem | TokenNeeded:
    """Four different refusals, four different sentences, each with the page to open."""
    response: Any = getattr(error, "response", None)
    if response is None:
        return unreachable_hub(error)
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    said = f"{getattr(error, 'server_message', '') or ''} {error}".lower()
    if status == 401 and code == "GatedRepo":
        return TokenNeeded("HF_TOKEN", f"{file.repo} is given only to people who accepted its conditions.", file.page)
    if status == 403 and code == "GatedRepo":
        return Problem(
            f"Your Hugging Face account has not accepted the conditions of {file.repo}.",
            f"Open {file.page}, accept them, and press ▶ again.",
        )
    if status == 403 and "fine-grained" in said:
        return Problem(
            "Your Hugging Face token may not read gated repositories.",
            f"Make one that may at {TOKEN_PAGE}, save it as the secret HF_TOKEN, and press ▶ again.",
        )
    if status == 401 and "invalid credentials" in said:
        return Problem(
            "Hugging Face does not know your token: it is mistyped or was deleted.",
            f"Make a new one at {TOKEN_PAGE}, save it as the secret HF_TOKEN, and press ▶ again.",
        )
    if code in ("RepoNotFound", "") and status in (401, 404):
        return Problem(
            f"{file.repo} is gone from Hugging Face, or private.",
            f"Look at {file.page}; if it is gone, choose another model.",
        )
    if status == 404:
        return Problem(
            f"{file.filename} is not in {file.repo} any more.",
            f"Look at {file.page}/tree/main for its new name, or choose another model.",
        )
    if status == 429:
        return Problem("Hugging Face says that too many requests were made.", "Wait some minutes and press ▶ again.")
    return Problem(f"Hugging Face has a fault of its own (HTTP {status}).", "Wait some minutes and press ▶ again.")
