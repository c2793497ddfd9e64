"""Links to Civitai: a model's page, a download link, or an AIR."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.http import WebSession, probe
from launcher.models.kinds import FAMILIES, RUNS_ON
from launcher.models.owners import kind_of_type
from launcher.models.pasted import safe_name
from launcher.models.remote import Refused, Remote, TokenNeeded

HOSTS: Final = ("civitai.com", "civitai.red", "civitai.green")  # the same models; some ids answer on one only
KEY_PAGE: Final = "https://civitai.com/user/account"
KEY: Final = "CIVITAI_TOKEN"  # the secret's name
MODEL_TYPES: Final = ("model", "pruned model", "")  # of a version's files, those that are the model itself


@dataclass(frozen=True)
class CivitaiLink:
    """What a link to Civitai asks for. `key` is one that stood in the link: it is used, and shown nowhere."""

    host: str
    model: str | None = None
    version: str | None = None
    choice: dict[str, str] = field(default_factory=dict)  # type, format, size, fp, fileId
    key: str = field(default="", repr=False)


def detect(link: str) -> CivitaiLink | None:
    """A link to Civitai or one of its siblings, or an AIR of one of its models."""
    air = re.fullmatch(r"urn:air:[^:]+:[^:]+:civitai:(\d+)(?:@(\d+))?(?:[.?].*)?", link, re.IGNORECASE)
    if air:
        return CivitaiLink(HOSTS[0], air[1], air[2])
    if link.lower().startswith("urn:air:"):
        raise Problem("Only AIR names from Civitai are supported.", "Paste the link of the model's page instead.")
    parts = urlsplit(link)
    host = (parts.hostname or "").removeprefix("www.")
    if host not in HOSTS:
        return None
    choice = dict(parse_qsl(parts.query))
    key, version = choice.pop("token", ""), choice.pop("modelVersionId", "")
    download, page = re.search(r"/api/download/models/(\d+)", parts.path), re.search(r"/models/(\d+)", parts.path)
    if download:
        return CivitaiLink(host, None, download[1], choice, key)
    return CivitaiLink(host, page and page[1], version if version.isdigit() else None, choice, key)


def resolve(wanted: CivitaiLink, token: str) -> Remote:
    """By Civitai's own list of the version. Raises `Problem`."""
    if not wanted.version and not wanted.model:
        raise Problem(
            "The link leads to a page on Civitai that is not a model.",
            "Open the model's page there and copy its address.",
        )
    key = token or wanted.key
    path = f"model-versions/{wanted.version}" if wanted.version else f"models/{wanted.model}"
    host, told = ask_civitai(wanted.host, path, key)
    version = told if wanted.version else newest(told)
    kind = kind_of_type(text_of(version.get("model"), "type"))
    file = chosen(version, wanted.choice)
    kind = "VAE" if text_of(file, "type").lower() == "vae" else kind
    configs = [one for one in version_files(version) if text_of(one, "type").lower() == "config"]
    base = text_of(version, "baseModel")
    if base and kind != "upscaler" and not RUNS_ON.search(base):
        raise Problem(f"This model is made for {base}, which AUTOMATIC1111 cannot run.", f"Choose one for {FAMILIES}.")
    sha256 = text_of(file.get("hashes"), "SHA256").lower()
    which = f"?modelVersionId={version['id']}" if version.get("id") else ""
    remote = Remote(
        address_of_file(host, version, file),
        safe_name(text_of(file, "name")),
        sha256=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "",
        page=f"https://{host}/models/{version.get('modelId') or wanted.model}{which}",
        token=key if host == wanted.host else "",
        kind=kind,
        title=text_of(version.get("model"), "name"),
        config=address_of_file(host, version, configs[0]) if configs else "",
    )
    return asked_for_size(remote)


def newest(told: dict[str, Any]) -> dict[str, Any]:
    """The newest version that everybody can download, else the newest."""
    versions = [one for one in told.get("modelVersions") or [] if isinstance(one, dict)]
    if not versions:
        raise Problem("This model has no version that can be downloaded.", "Choose another model.")
    public = [one for one in versions if one.get("availability", "Public") == "Public"]
    return {
        "modelId": told.get("id"),
        **(public or versions)[0],
        "model": {"type": text_of(told, "type"), "name": text_of(told, "name")},
    }


def chosen(version: dict[str, Any], choice: dict[str, str]) -> dict[str, Any]:
    """The file of a version that the link asks for, else the model itself and not its training data or pictures."""
    files = version_files(version)
    if "fileId" in choice:
        files = [one for one in files if str(one.get("id")) == choice["fileId"]]
    else:
        types = (choice["type"].lower(),) if "type" in choice else MODEL_TYPES
        files = [one for one in files if text_of(one, "type").lower() in types]
    for name in ("format", "size", "fp"):
        if name in choice:
            wanted = choice[name].lower()
            files = [one for one in files if text_of(one.get("metadata"), name).lower() == wanted] or files
    files.sort(key=lambda one: (not one.get("primary"), not one["name"].lower().endswith(".safetensors")))
    if not files:
        raise Problem(
            "This version has no such file that can be downloaded.", "Choose another version on the model's page."
        )
    return files[0]


def version_files(version: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of a version, as far as the list tells what they are called."""
    return [one for one in version.get("files") or [] if isinstance(one, dict) and isinstance(one.get("name"), str)]


def address_of_file(host: str, version: dict[str, Any], file: dict[str, Any]) -> str:
    """Where the file is, on the host that was asked; what else Civitai's list may name is not followed."""
    told = urlsplit(text_of(file, "downloadUrl"))
    if told.scheme == "https" and (told.hostname or "").removeprefix("www.") in HOSTS:
        return f"https://{host}{told.path}{f'?{told.query}' if told.query else ''}"
    which = urlencode({"fileId": file["id"]}) if file.get("id") else ""
    return f"https://{host}/api/download/models/{version.get('id')}?{which}"


def asked_for_size(remote: Remote) -> Remote:
    """With size and version of the file, if one may have it."""
    try:
        return replace(probe(remote), name=remote.name)
    except Refused as refused:
        if refused.status in (401, 403) and not refused.store:
            raise civitai_problem(refused, bool(remote.token), remote.page) from refused
        raise


def ask_civitai(host: str, path: str, key: str) -> tuple[str, dict[str, Any]]:
    """(host that answered, its list entry): the pasted host, then its siblings, which never get the key."""
    page, problem = f"https://{host}/{path.replace('model-versions', 'models')}", None
    for one in dict.fromkeys((host, *HOSTS)):
        listed = Remote(f"https://{one}/api/v1/{path}", "this model", page=page, token=key if one == host else "")
        try:
            with WebSession() as session, session.ask(listed, {}) as response:
                told = response.json()
        except Refused as refused:
            if one == host or not problem:
                problem = civitai_problem(refused, bool(key), page)
            if refused.status in (401, 403, 429, 451):
                break
            continue
        except requests.RequestException:  # a page instead of JSON is one, too
            continue
        if isinstance(told, dict):
            return one, told
    raise problem or Problem(
        "Civitai does not answer, or has a problem of its own.", "Wait a few minutes and press ▶ again."
    )


def civitai_problem(refused: Refused, with_key: bool, page: str) -> Problem:
    """Civitai's refusals, each in a sentence. A 401 is not always about the key: its text tells."""
    said = refused.text.lower()
    if refused.status in (401, 403) and "early access" in said:
        return Problem(
            "This version is in early access on Civitai.", f"Wait, or buy it at {page}; or choose another one."
        )
    if refused.status in (401, 403) and "disabled" in said:
        return Problem("Its creator has switched off downloads of this model on Civitai.", "Choose another model.")
    if refused.status == 401 and not with_key:
        return TokenNeeded(KEY, "Civitai gives this model only to people who are logged in.", KEY_PAGE)
    meanings = {
        401: ("Civitai does not accept your key for this model.", f"Check whether you can download it at {page}; if "
            f"so, make a new key at {KEY_PAGE} and save it as the Colab secret {KEY}."),
        403: ("Civitai denies you access to this model.", f"Open {page} and see what it asks for."),
        404: ("This model is no longer on Civitai.", "Choose another model."),
        410: ("This model was archived by its owner.", "Choose another model."),
    }  # fmt: skip
    return Problem(*meanings[refused.status]) if refused.status in meanings else refused


def text_of(entry: Any, name: str) -> str:
    """A text in Civitai's list, or "" where there is none."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
