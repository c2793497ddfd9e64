"""Numbers, states and buttons in words."""

from collections.abc import Callable
from typing import Final

from launcher.core.snapshot import RUNNING, Button, Row

STATE_WORDS: Final = {"waiting": "waiting", "running": "at work", "done": "done", "failed": "failed"}
ICONS: Final = {"waiting": "·", "running": "…", "done": "✓", "failed": "✕"}
LABELS: Final = {
    Button.RESTART: "Restart the web UI",
    Button.STOP: "Stop everything",
    Button.CONNECT: "Connect Google Drive",
    Button.KEEP: "Keep what runs",
    Button.ANEW: "Stop it and start with these",
}


def in_bytes(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def in_time(seconds: float) -> str:
    """134 -> "2 min 14 s"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def amount(step: Row) -> str:
    """How far a step is: "1.2 of 2.1 GB · 45 MB/s · 20 s left"."""
    if step.state != RUNNING or not step.done:
        return ""
    show: Callable[[float], str] = in_bytes if step.unit == "bytes" else (lambda n: f"{n:.0f}")
    parts = [f"{show(step.done)} of {show(step.total)}" if step.total else show(step.done)]
    if step.unit != "bytes":
        parts[0] += f" {step.unit}"
    elif step.speed > 0:
        parts.append(f"{in_bytes(step.speed)}/s")
    if step.seconds_left is not None:
        parts.append(f"{in_time(step.seconds_left)} left")
    return " · ".join(parts)
