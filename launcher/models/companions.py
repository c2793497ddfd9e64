"""What goes with a checkpoint: its configuration, and what shows its images as they grow."""

from contextlib import suppress
from pathlib import Path

from launcher.models.configs import settle_config
from launcher.models.fetch import Fetcher
from launcher.models.identify import identify
from launcher.models.previews import fetch_previews
from launcher.models.remote import Remote


def have_companions(fetcher: Fetcher, path: Path, source: Remote | None = None) -> None:
    """Have it for a checkpoint; `source` is where that has just come from."""
    seen = identify(path, inside=source is not None)
    settle_config(fetcher, path, seen, source)
    if seen.kind == "checkpoint":
        fetch_previews(fetcher, seen.base)


def complete_checkpoints(fetcher: Fetcher) -> None:
    """Have it for all that are there, however they came: any may be chosen in the page."""
    bases = set[str]()
    for path in fetcher.folder.checkpoints():
        with suppress(OSError):  # `broken_models` names it
            seen = identify(path, inside=False)
            settle_config(fetcher, path, seen)
            bases.add(seen.base or "")
    fetch_previews(fetcher, max(bases, key=lambda base: base.startswith("SDXL"), default=""))
