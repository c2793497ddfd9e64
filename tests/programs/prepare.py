"""Sets up all that the tests and `make run` need: system packages, uv, and two Jupyter stacks. Standard library only.

    python3 tests/programs/prepare.py [--no-browser] [--colabtools]

`.venv` has the tools and the current Jupyter stack. `.venv-colab` has Colab's pins, on Colab's Python 3.13 where that
can be had, else on the Python there is, which is said.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
SYSTEM_PACKAGES = {
    "git": "git",
    "chromium": "chromium",
    "firefox-esr": "firefox-esr",
    "fusermount3": "fuse3",
    "npm": "npm",
}
REQUIREMENTS = ROOT / "tests" / "programs" / "requirements.txt"
COLAB_PYTHON = "3.13"
NPM_PACKAGES = {
    "axe-core": "4.14.1",
    "pyodide": "314.0.7",
}  # the checker of accessibility; CPython 3.14 for WebAssembly


def main() -> None:
    wanted = dict(SYSTEM_PACKAGES)
    if "--no-browser" in sys.argv:
        wanted.pop("chromium")
    if "--no-browser" in sys.argv or shutil.which("firefox"):
        wanted.pop("firefox-esr")
    system_packages([package for program, package in wanted.items() if not shutil.which(program)])
    uv, python = find_uv(), find_python()
    folders = ["", "-colab", "-server", *(["-colabtools"] if "--colabtools" in sys.argv else [])]
    with ThreadPoolExecutor() as pool:  # each waits for the network more than it works
        made = [
            pool.submit(
                environment, uv, python, ROOT / f".venv{kind}", REQUIREMENTS.with_name(f"requirements{kind}.txt")
            )
            for kind in folders
        ]
        made.append(pool.submit(stand_in_packages, uv))
        made += [pool.submit(npm_package, name, version) for name, version in NPM_PACKAGES.items()]
    for one in made:
        one.result()


def system_packages(missing: list[str]) -> None:
    """Install by apt where that may be; else say the one command."""
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-qq", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"Please run this once, then again what you ran now:\n\n    sudo {' '.join(command)}\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    print(f"installing {', '.join(missing)}", flush=True)
    for step in (["apt-get", "update", "-qq"], command):
        subprocess.run(step, check=True, stdout=subprocess.DEVNULL, env=environment)


def works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def npm_package(name: str, version: str) -> None:
    """The files of an npm package, without what it needs: axe is one file of JavaScript, Pyodide is a Python in a
    few.
    """
    target = CACHE / name
    if (target / "package.json").exists() and json.loads((target / "package.json").read_text())["version"] == version:
        return
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )
        with tarfile.open(Path(folder) / f"{name}-{version}.tgz") as package:
            package.extractall(folder, filter="data")
        CACHE.mkdir(exist_ok=True)
        shutil.move(Path(folder) / "package", target)


def find_uv() -> str:
    """uv on the path, else one of our own."""
    ours = CACHE / "uv" / "bin" / "uv"
    for candidate in (shutil.which("uv"), str(ours)):
        if candidate and works([candidate, "--version"]):
            return candidate
    subprocess.run([sys.executable, "-m", "venv", str(CACHE / "uv")], check=True)
    subprocess.run([str(CACHE / "uv" / "bin" / "pip"), "install", "-q", pinned("uv")], check=True)
    return str(ours)


def pinned(name: str) -> str:
    """NAME==VERSION as the tests' requirements have it."""
    return next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith(f"{name}=="))


def find_python() -> str:
    """Colab's Python, where this machine has it, else the one that runs this."""
    name = f"python{COLAB_PYTHON}"
    # pyenv's versions lie side by side: this Python's neighbours are found even where HOME and PYENV_ROOT say nothing
    pyenv = {
        os.environ.get("PYENV_ROOT", ""),
        str(Path.home() / ".pyenv"),
        str(Path(sys.base_prefix).parent.parent),
    } - {""}
    versions = [
        found for root in sorted(pyenv) for found in sorted(glob.glob(f"{root}/versions/{COLAB_PYTHON}*/bin/{name}"))
    ]
    for candidate in (name, *versions):
        if works([candidate, "-c", "import ssl, ctypes"]):
            return shutil.which(candidate) or candidate
    print(
        f"There is no Python {COLAB_PYTHON} here; Colab's packages are tested on {sys.version.split()[0]} instead.",
        flush=True,
    )
    return sys.executable


def environment(uv: str, python: str, folder: Path, requirements: Path) -> None:
    """A virtual environment with just these packages."""
    lines = [line for line in requirements.read_text().splitlines() if not line.startswith("#")]
    mark, wanted = folder / "made-for", "\n".join([python, *lines])
    if mark.exists() and mark.read_text() == wanted and works([str(folder / "bin" / "python"), "--version"]):
        return
    print(f"making {folder.name}", flush=True)
    subprocess.run([uv, "venv", "--quiet", "--seed", "--clear", "--python", python, str(folder)], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(requirements)],
        check=True,
    )
    mark.write_text(wanted)


def stand_in_packages(uv: str) -> None:
    """A cache of uv with the stand-in web UI's packages and their byte code: else every test compiles gradio anew, 4 s
    each.
    """
    requirements = ROOT / "tests" / "world" / "webui" / "requirements_versions.txt"
    cache, wanted = CACHE / "uv-packages", requirements.read_text()
    mark = cache / "made-for"
    if mark.exists() and mark.read_text() == wanted:
        return
    print("fetching the stand-in web UI's packages", flush=True)
    environment = {**os.environ, "UV_CACHE_DIR": str(cache)}
    with tempfile.TemporaryDirectory() as folder:
        python = f"{folder}/bin/python"
        making = [uv, "venv", "--quiet", "--seed", "--clear", "--python", "3.11", folder]
        filling = [uv, "pip", "install", "--quiet", "--python", python, "-r", str(requirements)]
        compiling = [python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "checked-hash"]
        subprocess.run(making, env=environment, check=True)
        subprocess.run(filling, env=environment, check=True)
        # some packages hold broken files as tests: that is no failure
        subprocess.run([*compiling, str(cache / "archive-v0")], stdout=subprocess.DEVNULL, env=environment, check=False)
    mark.write_text(wanted)


if __name__ == "__main__":
    main()
