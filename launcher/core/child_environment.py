"""The environment of every program the launcher starts: a short list of what passes, and nothing else.

A kernel's environment is full of what others need: Colab's kernel has MPLBACKEND, PYTHONPATH, UV_CONSTRAINT and PIP_*
variables that name files of its image (astral-sh/uv#12724), a company's machine has proxies without NO_PROXY, a person
has tokens. What we start must depend on none of it, so each name that passes stands here, with the reason.
"""

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

# Who we are, the language, and where temporary files go.
EVERYWHERE: Final = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "XDG_CACHE_HOME")
PROXIES: Final = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
NETWORK: Final = (*PROXIES, "NO_PROXY", "no_proxy")
# Certificates of a company's proxy. They pass only while what they name is there.
CERTIFICATES: Final = (
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT",
)  # fmt: skip
CARD: Final = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_*", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")
# Another package index, and where uv finds a Python: for people behind a mirror.
PACKAGES: Final = (
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_PYTHON_INSTALL_MIRROR",
    "UV_CACHE_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS",
)  # fmt: skip
# A mirror of the model hub, for the web UI and what extensions download. HF_HUB_OFFLINE does not pass: with it the web
# UI could not fetch CLIP's words, and no image could be made.
HUB: Final = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_DISABLE_TELEMETRY")
# Settings of git that came with the environment ("insteadOf" leads to a mirror).
GIT: Final = ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_*", "GIT_CONFIG_VALUE_*")
# What the launcher's own parts hand on to what they start, and what Colab's machine tells about itself.
OWN_PARTS: Final = (
    *PACKAGES, *HUB, *GIT, "ONECLICK_*", "GRADIO_SHARE_SERVER_ADDRESS", "COLAB_*", "TBE_*", "VERTEX_PRODUCT",
    "CLOUDSDK_CONFIG",  # google.colab finds Google's Drive program by it
    "*_REPO", "*_COMMIT_HASH",  # A1111's own names for other places and other commits of its sub-repositories
    "LD_LIBRARY_PATH",  # whole: the kernel's own Python may need it
)  # fmt: skip
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
USUAL_PLACES: Final = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def passes(name: str) -> bool:
    """Whether a variable of that name is handed on at all, to a part of ours."""
    return matches(name, (*EVERYWHERE, *NETWORK, *CARD, *CERTIFICATES, *OWN_PARTS, "PATH"))


def is_there(name: str, value: str) -> bool:
    """False for what would only fail: certificates that are not where they should be, a setting torch cannot read."""
    if name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        return bool(re.fullmatch(r"\w+:[^=]+", value))
    return name not in CERTIFICATES or os.path.exists(value)


def kernels_variables() -> dict[str, str]:
    """What of this kernel's environment a launch goes by: no token is among it."""
    return {name: value for name, value in os.environ.items() if passes(name)}


def adopt(variables: Mapping[str, str]) -> None:
    """Go by the variables of another process from now on, and forget ours of those names."""
    for name in kernels_variables():
        del os.environ[name]
    os.environ.update({name: value for name, value in variables.items() if passes(name) and is_there(name, value)})
    os.environ.update(past_proxies(os.environ))


def child_environment(*also: str) -> dict[str, str]:
    """What passes to a program: the lists above that are everybody's, and the names or patterns in `also`.

    Loopback never goes through a proxy. PATH ends with the system's usual places, so that one without git finds it.
    """
    patterns = (*EVERYWHERE, *NETWORK, *CARD, *CERTIFICATES, *also)
    env = {name: value for name, value in os.environ.items() if matches(name, patterns) and is_there(name, value)}
    places = [*os.environ.get("PATH", "").split(os.pathsep), *USUAL_PLACES]
    env["PATH"] = os.pathsep.join(dict.fromkeys(places)).strip(os.pathsep)
    return env | past_proxies(env) | existing_home(env)


def past_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """The names that no proxy is asked for: those in `env`, and this machine's own."""
    known = ",".join(env.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
    direct = ",".join(dict.fromkeys([*(name.strip() for name in known if name.strip()), *LOOPBACK]))
    return {"NO_PROXY": direct, "no_proxy": direct}


def also_look_at(names: Iterable[str]) -> str:
    """A second remedy, or "": those of the variables that are set may be the cause. Their values may be secret."""
    there = [name for name in names if os.environ.get(name)]
    it_is = "it is" if len(there) == 1 else "they are"
    more = f" Look at {' and '.join(there)} too: {it_is} set on this machine, and may lead to the wrong place."
    return more if there else ""


def existing_home(env: dict[str, str]) -> dict[str, str]:
    """Another HOME and TMPDIR where nothing can be written to the ones in `env`; a cache may be made."""
    home, cache = env.get("HOME", os.path.expanduser("~")), Path(env.get("XDG_CACHE_HOME", "/tmp"))
    while not cache.exists():
        cache = cache.parent
    places = {"HOME": home, "TMPDIR": env.get("TMPDIR", "/tmp"), "XDG_CACHE_HOME": str(cache)}
    broken = [name for name, place in places.items() if not (os.path.isdir(place) and os.access(place, os.W_OK))]
    return {"HOME": home} | dict.fromkeys(broken, "/tmp")
