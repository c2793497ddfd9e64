"""Two processes for tests of what is kept: one that paints and notes what it painted, one that keeps.

python -m tests.world.images paint DATA LEDGER COUNT SECONDS
python -m tests.world.images keep DATA KEPT SAID
"""

import hashlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from launcher.drive.mirror import Mirror

HOSTILE = (
    b"new\nline.png", b"tab\t.png", b"-rf.png", b" .png", b"...png", b"'\"`$(x).png", b"a|b&c;d.png", b"%s%n.png",
    b"\xff\xfe.png", b"\xe2\x80\xae.png", "é.png".encode(), "e\u0301.png".encode(), "😀.png".encode(),
    "夜".encode() * 83 + b".png", b"CON.png", b"a:b.png", b"x" * 251 + b".png", b"#.png", b"<b>.png", b"\x01.png",
)  # fmt: skip


def paint(data: Path, ledger: Path, count: int, seconds: float) -> None:
    """Write images as A1111 does, under a temporary name first; after each its SHA-256 and name go to the ledger."""
    dice = random.Random(1)
    with ledger.open("ab", buffering=0) as noted:
        for number in range(count):
            folder = data / (
                "log/images" if number % 10 == 9 else f"outputs/txt2img-images/2026-11-{number // 100 + 1:02}"
            )
            folder.mkdir(parents=True, exist_ok=True)
            name = HOSTILE[number // 25] if number % 25 == 7 else f"{number:05}.png".encode()
            content = b"\x89PNG\r\n\x1a\n" + dice.randbytes(20_000 + number)
            place = os.path.join(os.fsencode(folder), name)
            part = os.path.join(os.fsencode(folder), b"%d.tmp" % number)
            Path(os.fsdecode(part)).write_bytes(content)
            os.replace(part, place)
            noted.write(f"{hashlib.sha256(content).hexdigest()}\n".encode())
            time.sleep(seconds / count)


def keep(data: Path, kept: Path, said: Path) -> None:
    """Keep until SIGTERM, and then what is left; every sentence goes to `said`."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with said.open("a", buffering=1) as noted:

        def say(text: str) -> None:
            noted.write(f"{text}\n")

        mirror = Mirror(data, kept, say, say=say)
        mirror.restore()
        mirror.start()
        over.wait()
        mirror.stop()
        say(f"at the end: {mirror.unkept} not kept")


if __name__ == "__main__":
    if sys.argv[1] == "paint":
        paint(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        keep(*(Path(word) for word in sys.argv[2:5]))
