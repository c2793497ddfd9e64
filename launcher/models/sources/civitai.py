"""Links to Civitai: a model's page, one of its versions, a download link, or an AIR."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from launcher.core.problem import Problem
from launcher.models.http import ask_list, entries_of, probe
from launcher.models.kinds import FAMILIES, RUNS_ON
from launcher.models.pasted import safe_name
from launcher.models.places import kind_of_type
from launcher.models.refusals import CIVITAI
from launcher.models.remote import Refused, Remote

# Civitai's own, with the same keys: since April 2026 what is not safe for work is on .red only.
HOSTS: Final = ("civitai.com", "civitai.red", "civitai.green")
KIND_OF_FILE: Final = {"vae": "VAE", "negative": "embedding"}  # whatever the model is
# Of a version's files, those that are the model itself; else what may stand for it.
MODEL_TYPES: Final = (("model", "pruned model", ""), ("negative",), ("archive",), ("vae",))
LAST_TO_ASK: Final = (401, 403, 429, 451)  # a sibling would say the same


@dataclass(frozen=True)
class CivitaiLink:
    """What a link to Civitai asks for. `key` is one that stood in the link: it is used, and shown nowhere."""

    host: str
    model: str = ""
    version: str = ""
    choice: dict[str, str] = field(default_factory=dict)  # type, format, size, fp, fileId
    key: str = field(default="", repr=False)

    @property
    def page(self) -> str:
        if not self.model:
            return f"https://{self.host}/model-versions/{self.version}"
        return f"https://{self.host}/models/{self.model}{f'?modelVersionId={self.version}' if self.version else ''}"


def detect(link: str) -> CivitaiLink | None:
    """A link to Civitai or one of its siblings, or an AIR of one of its models."""
    if air := re.fullmatch(r"(?:[\w-]+:)*civitai:(\d+)(?:@(\d+)(?:\+(\d+))?)?(?:[.:?].*)?", link, re.IGNORECASE):
        return CivitaiLink(HOSTS[0], air[1], air[2] or "", {"fileId": air[3]} if air[3] else {})
    if link.lower().startswith("urn:air:"):
        raise Problem("Only AIR names from Civitai are supported.", "Paste the link of the model's page instead.")
    parts = urlsplit(link)
    host = (parts.hostname or "").removeprefix("www.")
    if host not in HOSTS:
        return None
    choice = dict(parse_qsl(parts.query))
    key, version = choice.pop("token", ""), choice.pop("modelVersionId", "")
    stated = re.search(r"/(?:api/download/models|model-versions)/(\d+)", parts.path)
    page = re.search(r"/models/(\d+)", parts.path)
    version = stated[1] if stated else version if version.isdigit() else ""
    return CivitaiLink(host, page[1] if page and not stated else "", version, choice, key)


def resolve(wanted: CivitaiLink, token: str) -> Remote:
    """By Civitai's own list of the version. Raises `Problem`."""
    if not wanted.version and not wanted.model:
        raise Problem(
            "The link leads to a page on Civitai that is not a model.",
            "Open the model's page there and copy its address.",
        )
    key = token or wanted.key
    host, told = ask_civitai(wanted, key)
    version = told if wanted.version else newest(told)
    about, base = version.get("model"), text_of(version, "baseModel")
    kind, file = kind_of_type(text_of(about, "type")), chosen(version, wanted.choice)
    if not runs(version):
        raise Problem(f"This model is made for {base}, which AUTOMATIC1111 cannot run.", f"Choose one for {FAMILIES}.")
    sha256 = text_of(file.get("hashes"), "SHA256").lower()
    found = CivitaiLink(host, version.get("modelId") or wanted.model, version.get("id") or wanted.version)
    remote = Remote(
        file_address(found, file),
        safe_name(file["name"]),
        page=found.page,
        token=key,
        kind=KIND_OF_FILE.get(text_of(file, "type").lower(), kind),
        place=CIVITAI,
        title=text_of(about, "name"),
        config=tuple(file_address(found, one) for one in files_of(version, ("config",))[:1]),
        listed=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "",
        note=text_of(version, "note"),
    )
    return replace(probe(remote), name=remote.name)


def ask_civitai(wanted: CivitaiLink, key: str) -> tuple[str, dict[str, Any]]:
    """(host that answered, its list entry): the pasted host, then its siblings."""
    failures = list[Problem]()
    path = f"model-versions/{wanted.version}" if wanted.version else f"models/{wanted.model}"
    for host in dict.fromkeys((wanted.host, *HOSTS)):
        asked = Remote(f"https://{host}/api/v1/{path}", "this model", page=wanted.page, token=key, place=CIVITAI)
        try:
            return host, ask_list(asked)
        except Problem as problem:
            if isinstance(problem, Refused) and problem.answer.status in LAST_TO_ASK:
                raise
            failures.append(problem)
    raise failures[0]


def newest(told: dict[str, Any]) -> dict[str, Any]:
    """The newest version that A1111 can use and everybody can download, else the newest that has files.

    Where that is not the one the page shows first, the version's `note` says so.
    """
    about = {"modelId": told.get("id"), "model": {name: text_of(told, name) for name in ("type", "name")}}
    versions = [about | one for one in entries_of(told, "modelVersions")]
    there = [one for one in versions if files_of(one)]
    public = [one for one in there if one.get("availability", "Public") == "Public"]
    if not there:
        raise Problem("This model has no version that can be downloaded.", "Choose another model.")
    found = next((one for one in (*public, *there) if runs(one)), (public or there)[0])
    if found is versions[0]:
        return found
    first, second = (f"{text_of(one, 'name') or 'one'} ({text_of(one, 'baseModel')})" for one in (versions[0], found))
    why = "cannot be downloaded" if runs(versions[0]) else "is for something that AUTOMATIC1111 cannot run"
    return found | {"note": f"The newest version, {first}, {why}; the newest that can be used is fetched: {second}."}


def runs(version: dict[str, Any]) -> bool:
    """False for a version that is made for a model A1111 cannot run. An upscaler is made for none."""
    base = text_of(version, "baseModel")
    return not base or bool(RUNS_ON.search(base)) or text_of(version.get("model"), "type").lower() == "upscaler"


def files_of(version: dict[str, Any], types: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    named = [one for one in entries_of(version, "files") if text_of(one, "name")]
    return [one for one in named if not types or text_of(one, "type").lower() in types]


def chosen(version: dict[str, Any], choice: dict[str, str]) -> dict[str, Any]:
    """The file of a version that the link asks for, else the model itself and not its training data or pictures."""
    if "fileId" in choice:
        files = [one for one in files_of(version) if str(one.get("id")) == choice["fileId"]]
    elif "type" in choice:
        files = files_of(version, (choice["type"].lower(),))
    else:
        files = next((found for types in MODEL_TYPES if (found := files_of(version, types))), [])
    for name in ("format", "size", "fp"):
        if name in choice:
            wanted = choice[name].lower()
            files = [one for one in files if text_of(one.get("metadata"), name).lower() == wanted] or files
    if not files:
        only = ", ".join(sorted({text_of(one, "type").lower() or "other" for one in files_of(version)}))
        has = f"only files of another kind ({only})" if only else "no such file"
        raise Problem(f"This version has {has} that can be downloaded.", "Choose another version on the model's page.")
    return min(files, key=lambda one: (not one["name"].lower().endswith(".safetensors"), not one.get("primary")))


def file_address(version: CivitaiLink, file: dict[str, Any]) -> str:
    """Where a file is, by its number, as Civitai's own pages link to it: the address in its list may be old."""
    number = file.get("id")
    which = f"?fileId={number}" if number and isinstance(number, int) else ""
    return f"https://{version.host}/api/download/models/{version.version}{which}"


def text_of(entry: Any, name: str) -> str:
    """A text in Civitai's list, or "" where there is none."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
