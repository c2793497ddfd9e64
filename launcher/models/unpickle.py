"""Run as a program of its own: what an old-style file of weights holds. Nothing in the file is ever run.

`python -I unpickle.py FILE [--whole]` prints one line of JSON: {"fault": text or null, "tensors": {name: shape},
"detector": true for a whole model of ultralytics}.
Python's own unpickler decides what the file asks for, and is given a dummy for each name, so that nothing else can ever
be called. Only the standard library is imported. Memory, seconds, and what is told have limits.
"""

import json
import pickle
import re
import sys
import tarfile
import zipfile
from typing import Any, BinaryIO, Final

ITEM_BYTES: Final = {
    **{"FloatStorage": 4, "HalfStorage": 2, "DoubleStorage": 8, "BFloat16Storage": 2},
    **{"ByteStorage": 1, "IntStorage": 4, "LongStorage": 8},
}
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
)
# The members A1111 v1.10.1 allows in a zip of torch's, and those that PyTorch 2.6 and later write, too.
MEMBER: Final = re.compile(r"[^/]+/(data/\d+|version|byteorder|\.data/serialization_id|data\.pkl)")
NEWER_MEMBER: Final = re.compile(r"[^/]+/(\.format_version|\.storage_alignment)")
MAGIC: Final = 0x1950A86A20F9469CFC6C  # torch's files before 1.6 begin with it
PLAIN_DTYPE: Final = re.compile(r"[<>|=]?[biufcSU]\d{0,4}")  # no objects, no fields
MEMORY: Final = 2 << 30  # bytes this process may take
SECONDS: Final = 5  # of the processor, …
BYTES_A_SECOND: Final = 100_000_000  # … and one more for so much of the file: all of it may have to be checked
NAMES_MOST: Final = 20_000
LONGEST_TENSOR_NAME: Final = 300


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
        first = arguments[0] if arguments and isinstance(arguments[0], str) else ""  # what holds itself has no text
        odd_encoder = cls.name == "_codecs.encode" and arguments[1:] != ("latin1",)
        if odd_encoder or (cls.name == "numpy.dtype" and not PLAIN_DTYPE.fullmatch(first)):
            raise Rejected("it contains data that no model has")
        if arguments and cls.name.startswith(("ultralytics.", "torch.nn.")):  # saved without, and filled afterwards
            raise Rejected(f"it would run {cls.name} on loading")
        if cls.name.endswith(".getattr"):  # `Detect.forward` of a head; anything else could be a program
            owner = getattr(arguments[0], "name", "") if arguments and isinstance(arguments[0], type) else ""
            if not owner.startswith("ultralytics.nn.modules.") or arguments[1:] != ("forward",):
                raise Rejected(f"it would run {cls.name} on loading")
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __init__(self, *arguments: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if self.name.endswith(".getattr"):  # a function: what is set on it stays
            raise Rejected("it contains data that no model has")
        if self.name == "numpy.dtype" and any(state[2:5]):  # fields of its own: objects could hide there
            raise Rejected("it contains data that no model has")
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
        if self.of_whole_models and not self.is_detector:
            raise Rejected(f"it would run {self.of_whole_models[0][:120]} on loading")

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
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        newer = [name for name in names if NEWER_MEMBER.fullmatch(name)]
        for name in names:
            reject_if(
                not MEMBER.fullmatch(name) and name not in newer, f"it holds {name[:60]}, which no model file has"
            )
        reject_if(len(pickles) != 1 or len(set(names)) != len(names), "it is not a model file")
        file.seek(-22, 2)
        reject_if(not re.fullmatch(rb"PK\x05\x06.{16}\0\0", file.read(), re.DOTALL), "it holds more than a model")
        for member in archive.infolist():  # other readers go by the local header: both must say the same
            file.seek(member.header_offset)
            header = file.read(30)
            name = file.read(int.from_bytes(header[26:28], "little")).decode("utf-8", "replace")
            if header[:4] != b"PK\x03\x04" or header[6] & 1 or name != member.filename:
                raise Rejected("it is built in a way that no program for models builds it")
        reject_if(whole and archive.testzip(), "it is damaged")
        with archive.open(pickles[0]) as data:
            reader = Reader(data)  # type: ignore[arg-type]
            reject_if(data.read(1), "it holds more than a model")
        lengths = {member.filename: member.file_size for member in archive.infolist()}
        folder = pickles[0].removesuffix(".pkl")
        if any(lengths.get(f"{folder}/{key}", -1) < length for key, length in reader.storages.items()):
            raise Rejected("it is cut off")
        if newer and not reader.is_detector:  # ADetailer loads its own past A1111's check
            raise Rejected("it was saved by a newer PyTorch than AUTOMATIC1111 can read")
    return reader


def read_old(path: str) -> Reader:
    """torch's files before 1.6: five pickles, then the tensors' bytes."""
    if tarfile.is_tarfile(path):  # which torch reads first, whatever it begins with
        raise Rejected("it is an archive, not a model file")
    with open(path, "rb") as file:
        reject_if(Reader(file).found != MAGIC, "it is not a model file")
        _protocol, _machine, reader, keys = (Reader(file) for _ in range(4))
        reject_if(keys.found != sorted(reader.storages), "it is not a model file")
        if file.tell() + sum(8 + length for length in reader.storages.values()) > file.seek(0, 2):
            raise Rejected("it is cut off")
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
    names, is_detector, fault = dict[str, list[int]](), False, None
    try:
        with open(path, "rb") as file:
            begins_as_zip = file.read(4) == b"PK\x03\x04"
        if zipfile.is_zipfile(path) != begins_as_zip:
            raise Rejected("it is cut off" if begins_as_zip else "it is two kinds of file in one")
        reader = read_zip(path, whole) if begins_as_zip else read_old(path)
        names, is_detector = tensors(reader.found), reader.is_detector
        reject_if(not names and not is_detector, "it contains no weights")
    except Exception as why:  # hostile bytes can make Python's readers raise anything, and it always means the same
        fault = str(why) if isinstance(why, Rejected) else "it cannot be read as a model file"
    return {"fault": fault, "tensors": names, "detector": is_detector}


if __name__ == "__main__":
    import os
    import resource

    seconds = SECONDS + os.path.getsize(sys.argv[1]) // BYTES_A_SECOND
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    print(json.dumps(main(sys.argv[1], "--whole" in sys.argv[2:])))
