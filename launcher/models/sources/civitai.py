"""Links to Civitai."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import requests

from launcher.core.problem import Problem
from launcher.models.download import TIMEOUT
from launcher.models.kinds import RUNS, Found, safe_name
from launcher.models.remote import USER_AGENT, Remote
from launcher.models.sources.direct import civitai_problem, with_size

CIVITAI_HOSTS: Final = (
    "civitai.com",
    "civitai.red",
    "civitai.green",
)  # the same models and keys; some ids answer only on .red
CIVITAI_KINDS: Final = {
    "checkpoint": "checkpoint", "lora": "LoRA", "locon": "LoRA", "dora": "LoRA", "textualinversion": "embedding", "vae": "VAE",
    "controlnet": "ControlNet", "upscaler": "upscaler", "hypernetwork": "hypernetwork",
}  # fmt: skip


def resolve_civitai(link: str, token: str) -> Found:
    """A model's page (with or without modelVersionId), a download link, or an AIR; by Civitai's own list of the version."""
    air = re.fullmatch(r"urn:air:[^:]+:[^:]+:civitai:(\d+)(?:@(\d+))?", link)
    parts = urlsplit(link)
    host = parts.hostname if parts.hostname and not air else CIVITAI_HOSTS[0]
    page = re.search(r"/models/(\d+)", parts.path)
    download = re.search(r"/api/download/models/(\d+)", parts.path)
    version = (air and air[2]) or (download and download[1]) or dict(parse_qsl(parts.query)).get("modelVersionId", "")
    model = (air and air[1]) or ("" if download else page and page[1]) or ""
    if not version and not model:
        raise Problem(
            "The link leads to a page of Civitai, not to a model.", "Open the model's page there and copy its address."
        )
    told = ask_civitai(host or "", f"model-versions/{version}" if version else f"models/{model}", token)
    if not version:
        versions = told.get("modelVersions") or []
        if not versions:
            raise Problem("This model has no version that can be downloaded.", "Choose another model.")
        told = {**versions[0], "model": {"type": told.get("type", "")}}
    base, kind = told.get("baseModel", ""), CIVITAI_KINDS.get(str(told.get("model", {}).get("type", "")).lower(), "")
    if base and not RUNS.search(base):
        raise Problem(
            f"This model is made for {base}, which AUTOMATIC1111 cannot run.",
            "Choose one for Stable Diffusion 1.5, 2.1 or XL.",
        )
    files = told.get("files") or []
    file = next((f for f in files if f.get("primary")), files[0] if files else None)
    if not file:
        raise Problem("This version has no file that can be downloaded.", "Choose another version on the model's page.")
    sha256 = str(file.get("hashes", {}).get("SHA256", "")).lower()
    page_link = f"https://{host}/models/{told.get('modelId') or model}"
    remote = Remote(
        file["downloadUrl"],
        safe_name(file["name"]),
        sha256=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "",
        page=page_link,
        token=token,
    )
    return Found(with_size(remote), kind)


def ask_civitai(host: str, path: str, token: str) -> dict[str, Any]:
    """Civitai's list entry, from the pasted host and then its siblings. Raises `Problem` or `TokenNeeded`."""
    headers = {"User-Agent": USER_AGENT} | ({"Authorization": f"Bearer {token}"} if token else {})
    status = 0
    for one in dict.fromkeys((host, *CIVITAI_HOSTS)):
        try:
            answer = requests.get(civitai_url(one, path), headers=headers, timeout=TIMEOUT)
        except requests.RequestException:
            continue
        status = answer.status_code
        if answer.ok and "json" in answer.headers.get("Content-Type", ""):
            told = answer.json()
            return told if isinstance(told, dict) else {}
        if status in (401, 403):
            break
    raise civitai_problem(status, bool(token))


def civitai_url(host: str, path: str) -> str:
    """Where Civitai's list is asked."""
    return f"https://{host}/api/v1/{path}"
