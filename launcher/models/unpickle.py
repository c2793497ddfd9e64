"""Run as a program of its own: what an old-style file of weights holds. Nothing in the file is ever run.

`python -I unpickle.py FILE [--whole]` prints one line of JSON: {"fault": text or null, "tensors": {name: shape},
"detector": true for a whole model of ultralytics}.
Python's own unpickler decides what the file asks for, and is given a dummy for each name, so that nothing else can ever
be called. Only the standard library is imported. Memory, seconds, and what is told have limits.
"""

import json
import os
import pickle
import re
import resource
import sys
import tarfile
import zipfile
from typing import Any, BinaryIO, Final

ITEM_BYTES: Final = {
    "FloatStorage": 4, "HalfStorage": 2, "DoubleStorage": 8, "BFloat16Storage": 2, "ByteStorage": 1, "IntStorage": 4,
    "LongStorage": 8,
}  # fmt: skip
# What real files hold and AUTOMATIC1111 v1.10.1 itself reads (modules/safe.py), file by file in docs/dev/old-files.md.
ALLOWED: Final = {
    "collections": ("OrderedDict",),
    "torch._utils": ("_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_device_tensor_from_numpy"),
    "torch": (*ITEM_BYTES, "float32"),
    "torch.nn.modules.container": ("ParameterDict",),
    "numpy.core.multiarray": ("scalar", "_reconstruct"),
    "numpy": ("dtype", "ndarray"),
    "_codecs": ("encode",),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "__builtin__": ("set",),
}
# What a whole model of ultralytics names besides, which ADetailer loads and A1111 itself does not: classes that hold
# others. None is a function but getattr, which is checked by itself, and none opens a file to write it.
DETECTOR: Final = re.compile(
    r"ultralytics\.(nn\.(tasks|modules(\.\w+)?)\.[A-Z]\w*|(yolo\.)?utils\.(IterableSimpleNamespace|loss\.\w+Loss"
    r"|tal\.\w+Assigner))|(__builtin__|builtins)\.getattr|"
    r"torch\.nn\.modules\.\w+\.[A-Z]\w*|torch\.(Size|device)|builtins\.set|pathlib\.(Posix|Windows)Path"
    r"|numpy\._core\.multiarray\.(scalar|_reconstruct)"  # NumPy 2's (ultralytics/ultralytics#14160)
)
# The members that PyTorch 2.6 and later write into a zip, and with them those that A1111 v1.10.1 allows.
NEWER_MEMBER: Final = r"[^/]+/(\.format_version|\.storage_alignment)"
MEMBER: Final = rf"{NEWER_MEMBER}|[^/]+/(data/\d+|version|byteorder|\.data/serialization_id|data\.pkl)"
MAGIC: Final = 0x1950A86A20F9469CFC6C  # torch's files before 1.6 begin with it
PLAIN_DTYPE: Final = re.compile(r"[<>|=]?[biufcSU]\d{0,4}")  # no objects, no fields
MEMORY: Final = 2 << 30  # bytes this process may take
SECONDS: Final = 5  # of the processor, …
BYTES_A_SECOND: Final = 100_000_000  # … and one more for so much of the file: all of it may have to be checked
NAMES_MOST: Final = 20_000
LONGEST_TENSOR_NAME: Final = 300
ODD: Final = "it contains data that no model has"


class Rejected(Exception):
    """Why the file must not be loaded, as half a sentence that begins with "it"."""


def reject_if(wrong: object, why: str) -> None:
    if wrong:
        raise Rejected(why)


class Dummy(dict[Any, Any]):
    """Stands for whatever the file asks for. Holds the items and the state it is given, and its arguments."""

    name = ""
    arguments: tuple[Any, ...]

    def __new__(cls, *arguments: Any) -> "Dummy":
        """Made by a call or without one: the unpickler does both."""
        first, more = arguments[0] if arguments else "", arguments[1:]
        reject_if(cls.name == "_codecs.encode" and more != ("latin1",), ODD)
        dtype = first if isinstance(first, str) else ""  # what holds itself has no text
        reject_if(cls.name == "numpy.dtype" and not PLAIN_DTYPE.fullmatch(dtype), ODD)
        runs = arguments and cls.name.startswith(("ultralytics.", "torch.nn."))  # saved without, filled afterwards
        if cls.name.endswith(".getattr"):  # `Detect.forward` of a head; anything else could be a program
            owner = first.name if isinstance(first, type) and issubclass(first, Dummy) else ""
            runs = not owner.startswith("ultralytics.nn.modules.") or more != ("forward",)
        reject_if(runs, f"it would run {cls.name} on loading")
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *arguments: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        reject_if(self.name.endswith(".getattr"), ODD)  # a function: what is set on it stays
        reject_if(self.name == "numpy.dtype" and any(state[2:5]), ODD)  # fields of its own: objects could hide there
        if isinstance(state, dict):
            self.update(state)


class Reader(pickle.Unpickler):
    """Python's own unpickler, whose every global is a dummy. Raises `Rejected`."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, int] = {}  # key -> bytes
        self.of_whole_models: list[str] = []  # names that only a whole model may have
        self.found = self.load()
        self.is_detector = any(name.startswith("ultralytics.") for name in self.of_whole_models)
        for name in self.of_whole_models:
            reject_if(not self.is_detector, f"it would run {name[:120]} on loading")

    def find_class(self, module: str, name: str) -> type[Dummy]:
        full = f"{module}.{name}"
        if name not in ALLOWED.get(module, ()):
            self.of_whole_models.append(full)
            reject_if(not DETECTOR.fullmatch(full), f"it would run {full[:120]} on loading")
        return type("Stand_in", (Dummy,), {"name": full})

    def persistent_load(self, pid: Any) -> Dummy:
        """The bytes of a tensor, which lie outside of the pickle; their length is noted."""
        match pid:
            case ("storage", type() as storage, str() | int() as key, _, int(count), *_) if count >= 0:
                if item_bytes := ITEM_BYTES.get(getattr(storage, "name", "").removeprefix("torch.")):
                    self.storages[str(key)] = max(self.storages.get(str(key), 0), count * item_bytes)
                    return Dummy()
        raise Rejected("it contains something that is not a tensor")


def read_zip(path: str, whole: bool) -> Reader:
    """torch's files since 1.6: a zip with one pickle and the tensors' bytes."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        members = {member.filename: member for member in archive.infolist()}
        for name in members:
            reject_if(not re.fullmatch(MEMBER, name), f"it holds {name[:60]}, which no model file has")
        pickles = [name for name in members if name.endswith("/data.pkl")]
        reject_if(len(pickles) != 1 or len(members) != len(archive.infolist()), "it is not a model file")
        file.seek(-22, 2)
        reject_if(not re.fullmatch(rb"PK\x05\x06.{16}\0\0", file.read(), re.DOTALL), "it holds more than a model")
        for name, member in members.items():  # other readers go by the local header: both must say the same
            file.seek(member.header_offset)
            header = file.read(30)
            there = file.read(int.from_bytes(header[26:28], "little")).decode("utf-8", "replace")
            differs = header[:4] != b"PK\x03\x04" or header[6] & 1 or there != name
            reject_if(differs, "it is built in a way that no program for models builds it")
        reject_if(whole and archive.testzip(), "it is damaged")
        with archive.open(pickles[0]) as data:
            reader = Reader(data)  # type: ignore[arg-type]
            reject_if(data.read(1), "it holds more than a model")
        for key, length in reader.storages.items():
            storage = members.get(f"{pickles[0].removesuffix('.pkl')}/{key}")
            reject_if(not storage or storage.file_size < length, "it is cut off")
        is_newer = any(re.fullmatch(NEWER_MEMBER, name) for name in members) and not reader.is_detector
        reject_if(is_newer, "it was saved by a newer PyTorch than AUTOMATIC1111 can read")  # ADetailer can
    return reader


def read_old(path: str) -> Reader:
    """torch's files before 1.6: five pickles, then the tensors' bytes."""
    reject_if(tarfile.is_tarfile(path), "it is an archive, not a model file")  # torch reads it first, however it begins
    with open(path, "rb") as file:
        reject_if(Reader(file).found != MAGIC, "it is not a model file")
        _protocol, _machine, reader, keys = (Reader(file) for _ in range(4))
        reject_if(keys.found != sorted(reader.storages), "it is not a model file")
        end = file.tell() + sum(8 + length for length in reader.storages.values())
        reject_if(end > file.seek(0, 2), "it is cut off")
    return reader


def tensors(found: Any) -> dict[str, list[int]]:
    """Names of the tensors with their shapes, as deep as they lie. What holds itself is walked once."""
    told: dict[str, list[int]] = {}
    walked, waiting = set[int](), [("", found)]
    while waiting and len(told) < NAMES_MOST:
        name, value = waiting.pop()
        if len(name) > LONGEST_TENSOR_NAME:
            continue
        if isinstance(value, Dummy) and value.name.startswith("torch._utils._rebuild"):
            inner = value.arguments[0] if value.name.endswith("_rebuild_parameter") and value.arguments else value
            size = inner.arguments[2] if isinstance(inner, Dummy) and len(inner.arguments) > 3 else ()
            told[name] = [n for n in size[:8] if type(n) is int and n < 2**48] if isinstance(size, tuple) else []
        elif id(value) not in walked:
            walked.add(id(value))
            for key, one in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(one, (dict, list, tuple)) and isinstance(key, (str, int)):
                    waiting.append((f"{name}.{key}".lstrip("."), one))
    return told


def main(path: str, whole: bool) -> dict[str, Any]:
    """What is in the file, and what is wrong with it."""
    told: dict[str, Any] = {"fault": None, "tensors": {}, "detector": False}
    try:
        with open(path, "rb") as file:
            begins_as_zip = file.read(4) == b"PK\x03\x04"
        is_other = zipfile.is_zipfile(path) != begins_as_zip
        reject_if(is_other, "it is cut off" if begins_as_zip else "it is two kinds of file in one")
        reader = read_zip(path, whole) if begins_as_zip else read_old(path)
        told |= {"tensors": tensors(reader.found), "detector": reader.is_detector}
        reject_if(not told["tensors"] and not told["detector"], "it contains no weights")
    except Exception as why:  # hostile bytes can make Python's readers raise anything, and it always means the same
        told["fault"] = str(why) if isinstance(why, Rejected) else "it cannot be read as a model file"
    return told


if __name__ == "__main__":
    seconds = SECONDS + os.path.getsize(sys.argv[1]) // BYTES_A_SECOND
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    print(json.dumps(main(sys.argv[1], "--whole" in sys.argv[2:])))
