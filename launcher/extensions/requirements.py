"""What extensions want of Python's packages: what cannot be had together, and why pip failed, in words."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launcher.python.uv import PYTHON_VERSION

# What pip says -> what a person is told, with the packages it names.
PIP_FAILURES: Final = (
    (
        r"No matching distribution found for ([\w.\[\]-]+[^\s(]*)",
        "{} has no suitable version in the package index",
    ),
    (r"(?:Failed building wheel for|Failed to build ['\"]?)([\w.-]+)", "{} could not be built on this machine"),
    (r"Cannot install (.+?) because these package versions have conflicting", "{} cannot be installed together"),
    (
        r"Failed to establish a new connection|Temporary failure in name|Max retries exceeded",
        "an address did not answer",
    ),
    (r"HTTP Error (\d+)|(\d{3}) Client Error", "a download was refused ({})"),
)
WEBUI_PYTHON: Final = {"python_version": PYTHON_VERSION, "python_full_version": f"{PYTHON_VERSION}.0"}
CONSTRAINED: Final = re.compile(r"The user requested \(constraint\) (\S+)")


def wanted_packages(extension: Path) -> list[Requirement]:
    """What an extension says it wants: in requirements.txt, and in install.py's strings that name package and version.

    An installer that computes what it wants is not understood; pip tells about that one when it runs.
    """
    lines = read_lines(extension / "requirements.txt")
    stated = [one for line in lines if (one := as_requirement(line.split("#")[0].strip()))]
    wanted = {str(one): one for one in stated if not one.marker or one.marker.evaluate(WEBUI_PYTHON)}
    for text in strings_in(extension / "install.py"):
        for word in text.removeprefix("install ").split():
            one = as_requirement(word)
            if one and one.specifier:
                wanted[str(one)] = one
    return list(wanted.values())


def conflicts(name: str, wanted: Iterable[Requirement], constraints: str, others: dict[str, list[Requirement]]) -> str:
    """What of an extension's wishes cannot be had beside the web UI or the other extensions; one sentence, or ""."""
    limits = {canonicalize_name(limit.name): limit for line in constraints.split() if (limit := as_requirement(line))}
    told = []
    for one in wanted:
        limit = limits.get(canonicalize_name(one.name))
        if limit and exclude_each_other(one, limit):
            told.append(f"{one} (the web UI needs {limit})")
            continue
        for other, theirs in others.items():
            rival = next((r for r in theirs if canonicalize_name(r.name) == canonicalize_name(one.name)), None)
            if rival and exclude_each_other(one, rival):
                told.append(f"{one} (the extension {other} needs {rival})")
                break
    return (
        f"{name} needs packages that cannot be installed here: {', '.join(told)}. Parts of it may not work."
        if told
        else ""
    )


def exclude_each_other(one: Requirement, other: Requirement) -> bool:
    """True if no version that either of them names, or one just above or below it, suits both."""
    named = [spec.version for wish in (one, other) for spec in wish.specifier]
    if not one.specifier or not other.specifier:
        return False
    versions = [version for text in named if (version := as_version(text))]
    if not versions:
        return False
    near = [*versions, *(Version(f"{version}.post1") for version in versions if not version.is_postrelease)]
    below = [Version(f"{max(0, version.major - 1)}.999") for version in versions]
    return not any(
        one.specifier.contains(v, prereleases=True) and other.specifier.contains(v, prereleases=True)
        for v in (*near, *below)
    )


def within(constraints: str, name: str, version: str) -> bool:
    """True if the constraints speak of that package and allow that version."""
    limits = (as_requirement(line) for line in constraints.split())
    limit = next((one for one in limits if one and canonicalize_name(one.name) == canonicalize_name(name)), None)
    return bool(limit and as_version(version) and limit.specifier.contains(version, prereleases=True))


def pip_failures(lines: Iterable[str]) -> str:
    """Why pip could not install what was wanted, in words; "" if it did not complain."""
    told: dict[str, None] = {}
    limits: dict[str, None] = {}
    for line in lines:
        if limit := CONSTRAINED.search(line):
            limits[limit[1]] = None
        for pattern, words in PIP_FAILURES:
            if found := re.search(pattern, line):
                names = next((group for group in found.groups() if group), "").strip("'\"` ")
                told[words.format(names)] = None
                break
    asides = f" (the web UI needs {', '.join(limits)})" if limits else ""
    return "; ".join(told) + asides if told else ""


def as_requirement(text: str) -> Requirement | None:
    """The text as a requirement, or None."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def as_version(text: str) -> Version | None:
    """The text as a version, or None ("1.2.*" is none)."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def strings_in(source: Path) -> Iterator[str]:
    """The strings of a Python file."""
    try:
        tree = ast.parse("\n".join(read_lines(source)))
    except (SyntaxError, ValueError):
        return
    yield from (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; none where it is not there."""
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
