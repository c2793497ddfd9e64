"""When something changed on the machine: told by the system, so that nobody has to look through everything."""

import threading
from collections.abc import Callable, Iterator
from typing import Final

STEP: Final = 400  # milliseconds without a change after which those before are told
GATHER: Final = 1200  # milliseconds after which they are told in any case


def wake_ups(folders: Callable[[], set[str]], every: float, stop: threading.Event) -> Iterator[set[str] | None]:
    """The paths that changed below the folders, none after so many seconds without; None: nobody knows. Ends at `stop`.

    The folders may be others each time. Those below them are not watched, for links would be followed: to Drive.
    """
    try:
        from watchfiles import watch  # Colab's image has it
    except ImportError:
        watch = None  # type: ignore[assignment]
    while not stop.is_set():
        watched, seconds = folders(), int(every * 1000)
        if watch is None or not watched:
            yield None
            continue
        try:
            told = watch(*watched, watch_filter=None, debounce=GATHER, step=STEP, stop_event=stop,
                         rust_timeout=seconds, yield_on_timeout=True, ignore_permission_denied=True,
                         recursive=False)  # fmt: skip
            for number, changes in enumerate(told):  # what happened before it watched was not told
                yield {path for _, path in changes} if number else None
                if folders() != watched:
                    break
        except FileNotFoundError:  # a folder was deleted just now; the next list is without it
            yield None
        except OSError:  # the system watches only so many folders (fs.inotify.max_user_watches)
            watch = None  # type: ignore[assignment]
