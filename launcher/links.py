"""What a catalog entry or a pasted link means: a file to download. Knows nothing of disks."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from launcher.catalog import HubFile
from launcher.download import TIMEOUT, USER_AGENT, Refused, Remote, refused_problem
from launcher.problem import Problem

HUB_HOSTS: Final = ("huggingface.co", "hf.co")
TOKEN_PAGE: Final = "https://huggingface.co/settings/tokens/new?canReadGatedRepos=true&tokenType=fineGrained"
HUB_RETRIES: Final = True  # the hub's own client waits and asks again when it is busy
CIVITAI_HOSTS: Final = ("civitai.com", "civitai.red", "civitai.green")  # the same models and keys; some ids answer only on .red
CIVITAI_KEYS: Final = "https://civitai.com/user/account"
WEIGHTS: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
HEADER_MOST: Final = 20_000_000  # bytes of a safetensors header that are read to see what a file is

# What a file can be -> its folder below the web UI's data (facts/models.md §3).
KIND_FOLDERS: Final = {
    "checkpoint": "models/Stable-diffusion",
    "LoRA": "models/Lora",
    "VAE": "models/VAE",
    "embedding": "embeddings",
    "ControlNet": "models/ControlNet",
    "upscaler": "models/ESRGAN",
    "hypernetwork": "models/hypernetworks",
}
CIVITAI_KINDS: Final = {
    "checkpoint": "checkpoint", "lora": "LoRA", "locon": "LoRA", "dora": "LoRA", "textualinversion": "embedding", "vae": "VAE",
    "controlnet": "ControlNet", "upscaler": "upscaler", "hypernetwork": "hypernetwork",
}  # fmt: skip
RUNS: Final = re.compile(r"SD 1|SD 2|SDXL|Pony|Illustrious|NoobAI|Playground v2|^Other$", re.IGNORECASE)  # base models A1111 v1.10.1 runs

# Names of tensors -> what the file is. The first that fits.
TENSOR_KINDS: Final = (
    (r"double_blocks\.|joint_blocks\.|transformer_blocks\.\d+\.(attn|norm1)\.(add|linear)", "other"),  # Flux, SD 3: A1111 cannot run them
    (r"lora_(unet|te|down|up|A|B)|\.lora_|hada_w|lokr_", "LoRA"),
    (r"control_model\.|zero_convs|input_hint_block|controlnet_cond_embedding|controlnet_down_blocks", "ControlNet"),
    (r"^model\.diffusion_model\.", "checkpoint"),
    (r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid|up|down)", "VAE"),
    (r"^(emb_params|clip_l|clip_g|string_to_param)", "embedding"),
    (r"RDB\d|rdb\d|conv_first|upconv|model\.1\.sub", "upscaler"),
)


@dataclass(frozen=True)
class TokenNeeded(Exception):
    """The source wants a token. `name` is the secret's name; `reason` a sentence."""

    name: str
    reason: str
    page: str


@dataclass(frozen=True)
class Found:
    """What a link leads to. `kind` is a key of KIND_FOLDERS, or "" where the source does not tell."""

    remote: Remote
    kind: str = ""


def hub_file_of(link: str) -> HubFile | None:
    """The file a Hugging Face link leads to (its page, /blob/, or the file itself, /resolve/), else None."""
    parts = urlsplit(link)
    match = re.fullmatch(r"/([^/]+/[^/]+)/(?:blob|resolve|raw)/([^/]+)/(.+)", unquote(parts.path))
    if parts.hostname not in HUB_HOSTS or not match:
        return None
    return HubFile(match[1], match[3], revision=match[2])


def resolve_link(link: str, token: str) -> Found:
    """What a pasted link leads to; raises `Problem` or `TokenNeeded`. The first source that knows the link has it."""
    if link.startswith("urn:air:"):
        return resolve_civitai(link, token)
    parts = urlsplit(link)
    host = (parts.hostname or "").removeprefix("www.")
    if parts.scheme != "https":
        raise Problem(f"The link {link[:80]!r} is not encrypted.", "Use a link that starts with https://.")
    if host in HUB_HOSTS:
        return resolve_hub_link(link, token)
    if host in CIVITAI_HOSTS:
        return resolve_civitai(link, token)
    if host == "drive.google.com":
        return resolve_google_drive(link)
    return resolve_direct(link)


def resolve_hub_link(link: str, token: str) -> Found:
    """A file's page, a file, or a repository with one file of weights (or one named behind a #)."""
    file = hub_file_of(link)
    if file:
        return Found(resolve_hub_file(file, token))
    parts = urlsplit(link)
    match = re.fullmatch(r"/([^/]+/[^/]+)(?:/tree/([^/]+))?/?", unquote(parts.path))
    if not match:
        raise Problem("The link leads to a page of Hugging Face, not to a model.", "Open «Files and versions» there and copy the link of the model file.")
    repo, revision = match[1], match[2] or "main"
    page = HubFile(repo, "")
    from huggingface_hub import HfApi

    try:
        names = [file.rfilename for file in HfApi().model_info(repo, revision=revision, token=token or False).siblings or []]
    except OSError as error:
        raise hub_problem(page, error, bool(token)) from error
    weights = [name for name in names if name.lower().endswith((".safetensors", ".ckpt")) and "/" not in name]
    chosen = [name for name in weights if name == unquote(parts.fragment)] or weights
    if len(chosen) != 1:
        told = f"{len(weights)} model files: {', '.join(weights[:8])}" if weights else "no model file that A1111 could use"
        do = f"Add # and one of the names to the link, for example {page.page}#{weights[0]}." if weights else f"Look at {page.page} for another link."
        raise Problem(f"{repo} has {told}.", do)
    return Found(resolve_hub_file(HubFile(repo, chosen[0], revision=revision), token))


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
        raise Problem("The link leads to a page of Civitai, not to a model.", "Open the model's page there and copy its address.")
    told = ask_civitai(host or "", f"model-versions/{version}" if version else f"models/{model}", token)
    if not version:
        versions = told.get("modelVersions") or []
        if not versions:
            raise Problem("This model has no version that can be downloaded.", "Choose another model.")
        told = {**versions[0], "model": {"type": told.get("type", "")}}
    base, kind = told.get("baseModel", ""), CIVITAI_KINDS.get(str(told.get("model", {}).get("type", "")).lower(), "")
    if base and not RUNS.search(base):
        raise Problem(f"This model is made for {base}, which AUTOMATIC1111 cannot run.", "Choose one for Stable Diffusion 1.5, 2.1 or XL.")
    files = told.get("files") or []
    file = next((f for f in files if f.get("primary")), files[0] if files else None)
    if not file:
        raise Problem("This version has no file that can be downloaded.", "Choose another version on the model's page.")
    sha256 = str(file.get("hashes", {}).get("SHA256", "")).lower()
    page_link = f"https://{host}/models/{told.get('modelId') or model}"
    remote = Remote(file["downloadUrl"], safe_name(file["name"]), sha256=sha256 if re.fullmatch(r"[0-9a-f]{64}", sha256) else "", page=page_link, token=token)
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


def civitai_problem(status: int, with_token: bool) -> Problem | TokenNeeded:
    """Civitai's refusals (facts/models.md §6), each in a sentence."""
    if status == 401 and not with_token:
        return TokenNeeded("CIVITAI_TOKEN", "Civitai gives this model only to people who are logged in.", CIVITAI_KEYS)
    meanings = {
        0: ("Civitai does not answer.", "Wait some minutes and press ▶ again."),
        401: ("Civitai does not know your key.", f"Make a new one at {CIVITAI_KEYS}, save it as the secret CIVITAI_TOKEN, and press ▶ again."),
        403: ("Civitai does not let you have this model: it may be in early access.", "Look at its page."),
        404: ("This model is not on Civitai any more.", "Choose another model."),
        410: ("This model was archived by its owner.", "Choose another model."),
        429: ("Civitai says that too many downloads were asked for.", "Wait some minutes and press ▶ again."),
        451: ("Civitai does not serve the country this runtime is in.", "Choose another source of the model, for example Hugging Face."),
    }  # fmt: skip
    return Problem(*meanings.get(status, (f"Civitai has a fault of its own (HTTP {status}).", "Wait some minutes and press ▶ again.")))


def resolve_google_drive(link: str) -> Found:
    """A file shared on Google Drive. Large ones have a page in between, which its direct address leaves out."""
    match = re.search(r"/file/d/([\w-]+)", link) or re.search(r"[?&]id=([\w-]+)", link)
    if not match:
        raise Problem("The link leads to a folder of Google Drive, not to a file.", "Open the folder and copy the link of the model file.")
    direct = f"https://drive.usercontent.google.com/download?id={match[1]}&export=download&confirm=t"
    return resolve_direct(direct, page=link)


def resolve_direct(link: str, page: str = "") -> Found:
    """A file behind any https link; name and size from the server where it tells them."""
    return Found(with_size(Remote(link, unquote(urlsplit(link).path.rpartition("/")[2]), page=page or link)))


def with_size(remote: Remote) -> Remote:
    """Ask the server for the size, and for the name if the link has none. A token goes to the link's own host only."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Range": "bytes=0-0"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            status, told = answer.status_code, answer.headers
    except requests.RequestException as error:
        raise Problem(f"{urlsplit(remote.url).hostname} does not answer.", "Check the link, and press ▶ again.") from error
    if "civitai" in (urlsplit(remote.url).hostname or "") and status in (401, 403):
        raise civitai_problem(status, bool(remote.token))
    if status >= 400:
        raise refused_problem(remote, Refused(status, 0.0))
    if "text/html" in told.get("Content-Type", ""):
        raise Problem("The link leads to a web page, not to a model file.", "Copy the link of the page's download button instead.")
    named = re.search(r"filename\*?=(?:UTF-8'')?\"?([^\";]+)", told.get("Content-Disposition", ""))
    whole = re.search(r"/(\d+)$", told.get("Content-Range", "")) if status == 206 else None
    name = safe_name(unquote(named[1]) if named else remote.name)
    return replace(remote, name=name, size=int(whole[1]) if whole else 0)


def kind_of(remote: Remote) -> str:
    """What a .safetensors file is, by the names of its tensors; "" where nobody can know. Raises `Problem` for what A1111 cannot run."""
    if not remote.name.lower().endswith(".safetensors") or not remote.size:
        return ""
    length = int.from_bytes(read_range(remote, 0, 8), "little")
    if not 0 < length < min(HEADER_MOST, remote.size):
        return ""
    try:
        names = [name for name in json.loads(read_range(remote, 8, 8 + length)) if name != "__metadata__"]
    except ValueError:
        return ""
    for pattern, kind in TENSOR_KINDS:
        if any(re.search(pattern, name) for name in names):
            if kind == "other":
                raise Problem(
                    f"{remote.name} is made for a model that AUTOMATIC1111 cannot run (Flux, SD 3 or the like).",
                    "Choose one for Stable Diffusion 1.5, 2.1 or XL.",
                )
            return kind
    return ""


def read_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes [start, end) of a remote file."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    if remote.token:
        headers["Authorization"] = f"Bearer {remote.token}"
    try:
        with requests.get(remote.url, headers=headers, timeout=TIMEOUT, stream=True) as answer:
            return answer.raw.read(end - start) if answer.status_code == 206 else b""
    except requests.RequestException as error:
        raise Problem(f"{urlsplit(remote.url).hostname} does not answer.", "Check the link, and press ▶ again.") from error


def safe_name(name: str) -> str:
    """A file name without any path, dot at the front, or odd characters; raises `Problem` if it is no model file."""
    clean = re.sub(r"[^\w\-. ()+]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip(". ")
    if not clean.lower().endswith(WEIGHTS):
        raise Problem(f"{clean or 'The link'!r} is not the name of a model file.", f"Use a link to a file that ends in {', '.join(WEIGHTS)}.")
    return clean


def resolve_hub_file(file: HubFile, token: str) -> Remote:
    """Ask the hub for size and SHA-256 before the first byte.

    Raises `TokenNeeded` where a token would help, else a `Problem`. The statuses and codes are those of
    facts/tunnel_hub.md B.2; 401 without a code means «no such repository», not «token wanted».
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # here: it takes half a second, and most starts fetch nothing

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
        return Problem(f"Your Hugging Face account has not accepted the conditions of {file.repo}.", f"Open {file.page}, accept them, and press ▶ again.")
    if status == 403 and "fine-grained" in said:
        return Problem(
            "Your Hugging Face token may not read gated repositories.", f"Make one that may at {TOKEN_PAGE}, save it as the secret HF_TOKEN, and press ▶ again."
        )
    if status == 401 and "invalid credentials" in said:
        return Problem(
            "Hugging Face does not know your token: it is mistyped or was deleted.",
            f"Make a new one at {TOKEN_PAGE}, save it as the secret HF_TOKEN, and press ▶ again.",
        )
    if code in ("RepoNotFound", "") and status in (401, 404):
        return Problem(f"{file.repo} is gone from Hugging Face, or private.", f"Look at {file.page}; if it is gone, choose another model.")
    if status == 404:
        return Problem(f"{file.filename} is not in {file.repo} any more.", f"Look at {file.page}/tree/main for its new name, or choose another model.")
    if status == 429:
        return Problem("Hugging Face says that too many requests were made.", "Wait some minutes and press ▶ again.")
    return Problem(f"Hugging Face has a fault of its own (HTTP {status}).", "Wait some minutes and press ▶ again.")
