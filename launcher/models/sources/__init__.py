"""The places models come from, and what a pasted link means there: a file to download. Knows nothing of disks."""

from types import ModuleType
from typing import Final

from launcher.models.pasted import one_link
from launcher.models.remote import Remote
from launcher.models.sources import civitai, direct, hugging_face

# Each has detect(link) -> what it wants, or None, and resolve(wanted, token) -> Remote. The first that knows a link has
# it; `direct` knows every link.
SOURCES: Final[tuple[ModuleType, ...]] = (civitai, hugging_face, direct)


def resolve_link(text: str, token: str) -> Remote:
    """What a pasted link leads to; raises `Problem`, which may be a `TokenNeeded`."""
    link = one_link(text)
    wanted, source = next((wanted, source) for source in SOURCES if (wanted := source.detect(link)) is not None)
    found: Remote = source.resolve(wanted, token)
    return found
