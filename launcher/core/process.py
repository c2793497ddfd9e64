"""Running other programs: a command to its end, or a process of its own that outlives the kernel.

The only place that starts processes, and none of them inherits the kernel's environment: see `child_environment`.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from launcher.core.child_environment import OWN_PARTS, child_environment
from launcher.core.problem import Problem
from launcher.core.session import Part, read_object, write_object

PACKAGE: Final = Path(__file__).resolve().parents[2]  # holds this package; its name is the hash that tells versions

# What we started and left running. Popen remembers how a process ended; asking the system twice would lose it.
detached: Final[dict[int, "subprocess.Popen[bytes]"]] = {}


class CommandError(Exception):
    """A command that ended badly, or was ended as it was `silent` for too long. `output` is the end of what it said."""

    def __init__(self, command: list[str], code: int, output: str, silent: bool = False) -> None:
        super().__init__(f"{' '.join(command[:6])} ended with {code}: {output[-400:]}")
        self.code, self.output, self.silent = code, output[-4000:], silent


def run(
    command: list[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    timeout: float | None = None,
    signs_of_life: Callable[[], object] = lambda: None,
) -> str:
    """Run a command to its end and return what it printed; `on_line` hears each line, also of a progress meter.

    It gets a process group of its own: ■ does not reach it, but it is in our session (see `end_left_behind`). Raises
    `CommandError` on any exit but 0, and after `timeout` seconds in which it printed nothing and `signs_of_life` (asked
    every second) gave the same value; `Problem` where there is no such program.
    """
    try:
        process = subprocess.Popen(
            command, env=child_environment() if env is None else env, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0, text=True, errors="replace", bufsize=1,
        )  # fmt: skip
    except FileNotFoundError as error:
        if os.path.isabs(command[0]):
            raise CommandError(command, 127, str(error)) from error
        raise Problem(
            f"This runtime has no program called {command[0]}, which the launcher needs.",
            f"Install it (in Colab: a new cell with `!apt-get install -y {command[0]}`) and press ▶ again.",
        ) from error
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            heard.put(line)
        process.wait()
        heard.put("")  # its end

    threading.Thread(target=read, daemon=True).start()
    lines, seen, last, silent = list[str](), signs_of_life(), time.monotonic(), False
    try:
        while not silent:
            try:
                if not (line := heard.get(timeout=1)):
                    break
                lines.append(line)
                on_line(line.rstrip())
                last = time.monotonic()
            except queue.Empty:
                if (now := signs_of_life()) != seen:
                    seen, last = now, time.monotonic()
                silent = timeout is not None and time.monotonic() - last > timeout
    finally:
        if process.poll() is None:
            end_group(process.pid)
    code = process.wait()
    if code or silent:
        late = "(it said nothing for too long and was ended)\n" if silent else ""
        raise CommandError(command, code, late + "".join(lines), silent)
    return "".join(lines)


def works(program: str) -> bool:
    """True if the program starts: a pyenv shim, for one, exists without what it stands for."""
    with suppress(CommandError, OSError, Problem):
        run([program, "--version"], timeout=60)
        return True
    return False


def start_detached(command: list[str], *, log: Path, pid_file: Path, env: Mapping[str, str], cwd: Path) -> None:
    """Start a process that outlives the cell, ■ and the kernel, whose end would close a pipe: so it has a `log`."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    detached[process.pid] = process
    note_process(pid_file, process.pid)


def start_part(part: Part, module: str, *arguments: str) -> None:
    """Start a module of this very package as a process that outlives us."""
    command = [sys.executable, "-m", module, *arguments]
    start_detached(command, log=part.log, pid_file=part.pid_file, env=own_environment(), cwd=PACKAGE)


def own_environment() -> dict[str, str]:
    """For a part of the launcher: the short list, and where this very Python finds its packages, in whatever way."""
    places = [place for place in sys.path if place and place != str(PACKAGE)]
    return child_environment(*OWN_PARTS) | {"PYTHONPATH": os.pathsep.join(places)}


def note_process(pid_file: Path, pid: int) -> None:
    """Write down which process it is, for `running_pid`: also where the clock is set meanwhile."""
    boot, created = psutil.boot_time(), psutil.Process(pid).create_time()
    write_object(pid_file, {"pid": pid, "created": created, "since_boot": created - boot})


def noted_process(pid_file: Path) -> tuple[int, float]:
    """(pid, start time by the clock as it is now) as noted in the file; (0, 0.0) where nothing of the kind is in it.

    0 and 1 are never taken for pids: a signal to 0 goes to our own process group, to -1 to everything.
    """
    try:
        noted = read_object(pid_file)
        pid, created = int(noted["pid"]), float(noted["created"])
        if "since_boot" in noted:  # versions up to 1.2.0 noted the clock's time alone
            created = psutil.boot_time() + float(noted["since_boot"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return 0, 0.0
    return (pid, created) if 1 < pid < 1 << 31 else (0, 0.0)


def running_pid(pid_file: Path) -> int:
    """The pid in the file if that very process still runs, else 0. A reused pid is recognised by its start time."""
    pid, created = noted_process(pid_file)
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - created) < 1:
            return pid
    return 0


def exit_code(pid_file: Path, patience: float = 0.0) -> int | None:
    """How the process in the file ended (negative: by a signal), None if nobody can know any more.

    It is waited for: while the system takes a card's memory down, it counts as ended already.
    """
    process = detached.get(noted_process(pid_file)[0])
    with suppress(subprocess.TimeoutExpired):
        return process.wait(patience) if process else None
    return None


def send_signal(pid_file: Path, which: signal.Signals) -> bool:
    """Send a signal to the process in the file; False if it does not run."""
    if pid := running_pid(pid_file):
        with suppress(ProcessLookupError):
            os.kill(pid, which)
            return True
    return False


def end_process(pid_file: Path, patience: float = 10) -> None:
    """End the process in the file with its group, or what it has left behind: SIGTERM, and SIGKILL after `patience`."""
    pid, created = noted_process(pid_file)
    if running_pid(pid_file) or left_behind(os.getpgid, pid, created):
        end_group(pid, patience)
    exit_code(pid_file)  # nothing of it stays in the system's table
    pid_file.unlink(missing_ok=True)


def end_group(pid: int, patience: float = 10) -> None:
    """End a process that leads its own group, and all in that group."""
    for which, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(pid, which)
        except (ProcessLookupError, PermissionError):
            return
        end = time.monotonic() + seconds
        while members(os.getpgid, pid) and time.monotonic() < end:
            time.sleep(0.05)


def end_left_behind(pid_file: Path) -> None:
    """End the commands of a process that led a session and was killed: two would write the same files otherwise."""
    for process in left_behind(os.getsid, *noted_process(pid_file)):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def left_behind(belongs_to: Callable[[int], int], leader: int, created: float) -> "list[psutil.Process]":
    """The living processes of a group or session whose leader has ended.

    A pid is not given to a new process while a group or session has that number. So if there is a process with it, or
    one that is older than the leader was, it is a stranger who came after all the others had ended.
    """
    found = members(belongs_to, leader) if leader else []
    strangers = any(p.pid == leader or p.info["create_time"] < created - 1 for p in found)
    return [] if strangers else found


def members(belongs_to: Callable[[int], int], leader: int) -> "list[psutil.Process]":
    """The living processes of a group or session (`os.getpgid`, `os.getsid`); a zombie does not count."""
    found = []
    for process in psutil.process_iter(["status", "create_time"]):
        with suppress(ProcessLookupError):
            if belongs_to(process.pid) == leader and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
