"""What a pasted link means: a file to download. Knows nothing of disks."""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from launcher.models.link_target import LinkTarget
from launcher.models.pasted import one_link
from launcher.models.sources import civitai, direct, google_drive, hugging_face

# Each has detect(link) -> what it wants, or None, and resolve(wanted, token) -> LinkTarget. The first that knows a link
# has it.
SOURCES: Final[tuple[ModuleType, ...]] = (civitai, hugging_face, google_drive, direct)


def resolve_link(text: str, token: str) -> LinkTarget:
    """What a pasted link leads to; raises `Problem` or `TokenNeeded`."""
    link = one_link(text)
    for source in SOURCES:
        detect: Callable[[str], Any] = source.detect
        wanted = detect(link)
        if wanted is not None:
            found: LinkTarget = source.resolve(wanted, token)
            return found
    raise AssertionError("a direct link knows every link")
