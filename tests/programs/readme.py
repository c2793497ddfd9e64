"""What CI runs: the commands of the README's block "For developers", word for word, with an empty HOME.

    python3 tests/programs/readme.py [README]

A command that prints a link and waits for Ctrl-C is visited as a person would (log in, make one image) and ended; any
other must end well by itself. Standard library only: the first command is what makes the environments.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAITS = "Ctrl-C ends it."  # says a command that runs until then
PATIENCE = 4500.0  # seconds for one command
STOP_PATIENCE = 90.0  # seconds after Ctrl-C
LEFT_PATIENCE = 8.0  # seconds in which what a command started may still be ending
VISITOR = (str(ROOT / ".venv" / "bin" / "python"), "-m", "tests.programs.visit")
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h: what a command leaves behind becomes our child


class Broken(Exception):
    """A command of the README does not do what it should."""


def commands(readme: str) -> list[str]:
    """The lines of the first block under "For developers", as they stand. Raises `Broken` if there is none."""
    _, _, section = readme.partition("## For developers\n")
    block = re.search(r"(?ms)^```\w*\n(.*?)^```", section.partition("\n## ")[0])
    found = [line.strip() for line in block[1].splitlines() if plain(line)] if block else []
    if not found:
        raise Broken('The README has no command under "For developers".')
    return found


def plain(line: str) -> str:
    """The command without its comment."""
    return line.partition("#")[0].strip()


def run(line: str, home: Path) -> str:
    """Run one command to its end; return what came of it. Raises `Broken`."""
    began, said = time.monotonic(), []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment = {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        ["bash", "-c", line], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip

    def listen() -> None:
        assert process.stdout is not None
        for heard in process.stdout:
            print(heard, end="", flush=True)
            said.append(heard)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while process.poll() is None and not any(WAITS in heard for heard in said):
            if time.monotonic() - began > PATIENCE:
                raise Broken(f"it did not end within {PATIENCE:.0f} s")
            time.sleep(0.2)
        if process.poll() is None:
            link_after = time.monotonic() - began
            visit("".join(said), environment)
            stop(process)
            told = f"link after {link_after:.0f} s, ended by Ctrl-C after {time.monotonic() - began:.0f} s"
        elif process.returncode:
            raise Broken(f"it ended with exit code {process.returncode}")
        else:
            told = f"ended well after {time.monotonic() - began:.0f} s"
        if left := left_behind(LEFT_PATIENCE):
            raise Broken("it left running: " + "; ".join(left))
        listener.join(10)
        return told
    except Broken as broken:
        raise Broken(f"README command `{plain(line)}`: {broken}") from None
    finally:
        for pid in living_children():
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)


def visit(said: str, environment: dict[str, str]) -> None:
    """Log in with what the command printed and make an image. Link and password go through a pipe, not by arguments."""
    way_in = re.findall(r"^(Link|User|Password|Images): (.+)$", said, re.MULTILINE)
    if len(way_in) != 4:
        raise Broken(
            f"it printed {[name for name, _ in way_in]} instead of a link, user, password and the images' folder"
        )
    lines = "\n".join(value for _, value in way_in)
    done = subprocess.run(VISITOR, input=lines, text=True, cwd=ROOT, env=environment, check=False, timeout=300)
    if done.returncode:
        raise Broken("its link could not be used")


def stop(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C: SIGINT to the whole group, as a terminal sends it."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        code = process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        raise Broken(f"it still ran {STOP_PATIENCE:.0f} s after Ctrl-C") from None
    if code not in (0, 2, 130, -signal.SIGINT):  # make itself ends with 2 or by the signal
        raise Broken(f"it ended with exit code {code} after Ctrl-C")


def living_children() -> list[int]:
    """The pids of all processes that descend from this one, without those that have ended."""
    parents, found = {}, {os.getpid()}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = status.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            parents[int(status.parent.name)] = int(parent)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def left_behind(patience: float) -> list[str]:
    """The command lines of what still runs after `patience` seconds."""
    end = time.monotonic() + patience
    while (left := living_children()) and time.monotonic() < end:
        time.sleep(0.2)
    return [command for pid in left if (command := command_line(pid))]


def command_line(pid: int) -> str:
    """What a process was started with; "" if it has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:200]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)
    readme = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "README.md"
    told = []
    try:
        with tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True) as home:
            for line in commands(readme.read_text()):
                print(f"\n$ {line}", flush=True)
                told.append(f"{plain(line)}: {run(line, Path(home))}")
        if not any("Ctrl-C" in one for one in told):
            raise Broken("No command of the README printed a link.")
    except Broken as broken:
        sys.exit(f"\n{broken}")
    print("\nThe README's commands, with an empty HOME:", *told, sep="\n")


if __name__ == "__main__":
    main()
