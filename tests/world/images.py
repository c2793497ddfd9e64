"""A process outside of the launcher that paints and knows what it painted, and one that counts it on Drive.

python -m tests.world.images paint DATA LEDGER COUNT SECONDS
python -m tests.world.images count LEDGER FOLDER...
"""

import hashlib
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

HOSTILE = (
    b"new\nline.png", b"tab\t.png", b"-rf.png", b" .png", b"...png", b"'\"`$(x).png", b"a|b&c;d.png", b"%s%n.png",
    b"\xff\xfe.png", b"\xe2\x80\xae.png", "é.png".encode(), "e\u0301.png".encode(), "😀.png".encode(),
    "夜".encode() * 83 + b".png", b"CON.png", b"a:b.png", b"x" * 251 + b".png", b"#.png", b"<b>.png", b"\x01.png",
)  # fmt: skip


def paint(data: Path, ledger: Path, count: int, seconds: float) -> None:
    """Write images as A1111 does, under a temporary name first; after each its SHA-256 goes to the ledger."""
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


def count(ledger: Path, folders: list[Path]) -> str:
    """How many of the images in the ledger are in the folders just once, and how many files are there that are none."""
    painted = Counter(ledger.read_text().split())
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    same = sum(found[digest] == times for digest, times in painted.items())
    return f"{same} of {painted.total()} with equal SHA-256, {(found - painted).total()} other files"


if __name__ == "__main__":
    if sys.argv[1] == "paint":
        paint(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    else:
        print(count(Path(sys.argv[2]), [Path(word) for word in sys.argv[3:]]))
