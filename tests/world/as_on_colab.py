"""A world in which the panel shows what it shows on Colab: a link of gradio's form, the version's name, a model of its
true size, and as many packages.
"""

import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.core.tools import read_pins
from launcher.python.lock import CONTROLNET_LOCK, LOCK, LOCKED_VERSION
from launcher.webui.process import free_port
from tests.world import HERE, WEBUI, World, safetensors
from tests.world.githost import git
from tests.world.page import NOTEBOOK
from tests.world.place import Place
from tests.world.proxy import Proxy

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# There is no graphics card here: a stand-in for its driver's program says what Colab's usual card says.
CARD = "#!/bin/sh\necho 'Tesla T4, 15360'\n"
# What the first day brings, in its true size: zeros, but for the names of its tensors.
MODEL_REPO, MODEL_FILE, MODEL_SIZE = "Lykon/dreamshaper-8", "DreamShaper_8_pruned.safetensors", 2_132_625_894
MODEL_LINK = f"https://huggingface.co/{MODEL_REPO}/blob/main/{MODEL_FILE}"
RATE = 5_000_000  # bytes a second of each of the connections
# Without torch nothing asks for a real card. As many packages as on Colab: ControlNet's smallest take the places.
NEEDS_A_CARD = re.compile(r"torch(vision)?|triton|nvidia-.*")


@contextmanager
def as_on_colab(root: Path) -> Iterator[tuple[Place, dict[str, int]]]:
    """A person's place, and the names that are ports of this machine."""
    filmed = {f"modules/{path.name}": path.read_bytes() for path in (HERE / "webui" / "filmed").glob("*.py")}
    with World(root / "outside", other_files=filmed | {"requirements_versions.txt": requirements()}) as world:
        git("tag", LOCKED_VERSION, "master", at=world.git.root / f"{WEBUI}.git")
        model = world.hub.add(MODEL_REPO, MODEL_FILE, b"")
        write_model(model)
        world.hub.sha256(model)  # it takes seconds, and the hub would wait for it
        world.hub.rate = RATE
        card = world.programs() / "nvidia-smi"
        card.write_text(CARD)
        card.chmod(0o755)
        world.share.named_port = free_port()
        names = {"gradio.live": world.share.named_port}
        proxy = Proxy(ports=names)
        trusted = root / "trusted.pem"
        trusted.write_text(SYSTEM_CERTIFICATES.read_text() + world.share.ca_pem)
        with Place(world, root) as place:
            place.environment |= dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy.url)
            place.environment |= dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(trusted))
            place.machine.mkdir(parents=True)
            shutil.copy(NOTEBOOK, place.machine / "book.ipynb")
            yield place, names
        proxy.close()


def requirements() -> bytes:
    """What the stand-in web UI says it needs: as many packages as the real one does."""
    lock, others = read_pins(LOCK), sorted(read_pins(CONTROLNET_LOCK).values(), key=lambda pin: pin.size)
    pins = [pin for name, pin in lock.items() if not NEEDS_A_CARD.fullmatch(name)]
    pins += others[: len(lock) - len(pins)]
    return "".join(f"{pin.requirement}\n" for pin in pins).encode()


def write_model(path: Path) -> None:
    """A checkpoint of the true size that takes no room on the disk."""
    small = safetensors(1000)
    length = struct.unpack("<Q", small[:8])[0]
    header = json.loads(small[8 : 8 + length])
    size = MODEL_SIZE - 8 - length - 100
    for tensor in header.values():
        whole = tensor["shape"] != [0]
        tensor["shape"], tensor["data_offsets"] = [size if whole else 0], [0 if whole else size, size]
    text = json.dumps(header).encode()
    text += b" " * (MODEL_SIZE - 8 - size - len(text))
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    os.truncate(path, MODEL_SIZE)
