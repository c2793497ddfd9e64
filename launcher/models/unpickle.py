"""Run as a program of its own: what an old-style file of weights holds. Nothing in the file is ever run.

`python -I unpickle.py FILE [--whole]` prints one line of JSON: {"fault": text, "tensors": {name: shape}}. It imports
nothing but the standard library, and gives every name a file asks for a dummy of its own, so that Python's real
unpickler decides what is asked for, and nothing else than dummies can ever be called.
"""

import json
import pickle
import re
import struct
import sys
import tarfile
import zipfile
from typing import Any, BinaryIO, Final

# What real files hold and AUTOMATIC1111 v1.10.1 itself reads (its modules/safe.py), file by file in docs/old-files.md.
ALLOWED: Final = {
    "collections": ("OrderedDict",),
    "torch._utils": ("_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_device_tensor_from_numpy"),
    "torch": (
        *("FloatStorage", "HalfStorage", "DoubleStorage", "BFloat16Storage"),
        *("ByteStorage", "IntStorage", "LongStorage", "float32"),
    ),
    "torch.nn.modules.container": ("ParameterDict",),
    "numpy.core.multiarray": ("scalar", "_reconstruct"),
    "numpy": ("dtype", "ndarray"),
    "_codecs": ("encode",),
    "pytorch_lightning.callbacks.model_checkpoint": ("ModelCheckpoint",),
    "__builtin__": ("set",),
}
ITEM_BYTES: Final = {
    **{"FloatStorage": 4, "HalfStorage": 2, "DoubleStorage": 8, "BFloat16Storage": 2},
    **{"ByteStorage": 1, "IntStorage": 4, "LongStorage": 8},
}
# The members A1111 v1.10.1 allows in a zip of torch's.
MEMBER: Final = re.compile(r"[^/]+/(data/\d+|version|byteorder|\.data/serialization_id|data\.pkl)")
NEWER_MEMBER: Final = re.compile(r"[^/]+/(\.format_version|\.storage_alignment)")  # PyTorch 2.6 and later write them
MAGIC: Final = 0x1950A86A20F9469CFC6C  # torch's files before 1.6 begin with it
PLAIN_DTYPE: Final = re.compile(r"[<>|=]?[biufcSU]\d{0,4}")  # no objects, no fields
MEMORY: Final = 2 << 30  # bytes this process may take
SECONDS: Final = 60  # of the processor
NAMES_MOST: Final = 20_000


class Refused(Exception):
    """Why the file must not be loaded, as half a sentence that begins with "it"."""


class Dummy:
    """Stands for whatever the file asks for. Holds what it is given."""

    name = ""
    arguments: tuple[Any, ...]
    items: dict[Any, Any]
    state: Any

    def __new__(cls, *arguments: Any) -> "Dummy":
        """Made by a call or without one: the unpickler does both."""
        check_arguments(cls.name, arguments)
        made = super().__new__(cls)
        made.arguments, made.items, made.state = arguments, {}, None
        return made

    def __init__(self, *arguments: Any) -> None:
        """All is done already."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def __setstate__(self, state: Any) -> None:
        if self.name == "numpy.dtype" and any(state[2:5]):  # fields of its own: objects could hide there
            raise Refused("it contains data that no model has")
        self.state = state


def check_arguments(name: str, arguments: tuple[Any, ...]) -> None:
    """Some of what is allowed is so for what real files do with it only."""
    if name == "_codecs.encode" and arguments[1:] != ("latin1",):
        raise Refused("it calls an encoder that no model calls")
    if name == "numpy.dtype" and not (
        arguments and isinstance(arguments[0], str) and PLAIN_DTYPE.fullmatch(arguments[0])
    ):
        raise Refused("it contains data that no model has")


class Reader(pickle.Unpickler):
    """Python's own unpickler, whose every global is a dummy."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, int] = {}  # key -> bytes

    def find_class(self, module: str, name: str) -> type[Dummy]:
        """A dummy for each name on the list; anything else ends it."""
        if name not in ALLOWED.get(module, ()):
            raise Refused(f"it would run {module[:60]}.{name[:60]} on loading")
        return type("Stand_in", (Dummy,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Dummy:
        """The bytes of a tensor, which lie outside of the pickle; their length is noted."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and isinstance(pid[1], type)):
            raise Refused("it contains something that is not a tensor")
        kind, key, count = pid[1].name.rpartition(".")[2], str(pid[2]), pid[4]  # type: ignore[attr-defined]
        if kind not in ITEM_BYTES or type(count) is not int or count < 0:
            raise Refused("it contains something that is not a tensor")
        self.storages[key] = max(self.storages.get(key, 0), count * ITEM_BYTES[kind])
        return Dummy()


def read_zip(path: str, whole: bool) -> Any:
    """torch's files since 1.6: a zip with one pickle and the tensors' bytes."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        for name in names:
            if NEWER_MEMBER.fullmatch(name):
                raise Refused("it was saved by a newer PyTorch than AUTOMATIC1111 can read")
            if not MEMBER.fullmatch(name):
                raise Refused(f"it holds {name[:60]}, which no model file has")
        if len(pickles) != 1 or len(set(names)) != len(names):
            raise Refused("it is not a model file")
        root = pickles[0].removesuffix("data.pkl")
        with open(path, "rb") as file:
            file.seek(-22, 2)
            if not re.fullmatch(rb"PK\x05\x06.{16}\0\0", file.read(), re.DOTALL):
                raise Refused("it holds more than a model")
            for member in archive.infolist():  # other readers go by the local header: both must say the same
                file.seek(member.header_offset)
                header = file.read(30)
                local_name = file.read(int.from_bytes(header[26:28], "little")).decode("utf-8", "replace")
                flags = int.from_bytes(header[6:8], "little")
                if header[:4] != b"PK\x03\x04" or local_name != member.filename or flags & 1:
                    raise Refused("it is built in a way that no program for models builds it")
        if whole and archive.testzip():
            raise Refused("it is damaged")
        with archive.open(pickles[0]) as file:
            reader = Reader(file)  # type: ignore[arg-type]
            found = reader.load()
            if file.read(1):
                raise Refused("it holds more than a model")
        for key, size in reader.storages.items():
            if f"{root}data/{key}" not in names or archive.getinfo(f"{root}data/{key}").file_size < size:
                raise Refused("it is cut off")
    return found


def read_old(path: str) -> Any:
    """torch's files before 1.6: five pickles, then the tensors' bytes."""
    if tarfile.is_tarfile(path):
        raise Refused("it is an archive, not a model file")
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if Reader(file).load() != MAGIC:
            raise Refused("it is not a model file")
        Reader(file).load()
        Reader(file).load()
        reader = Reader(file)
        found = reader.load()
        keys = Reader(file).load()
        if not isinstance(keys, list) or {str(key) for key in keys} != set(reader.storages):
            raise Refused("it is not a model file")
        if file.tell() + sum(8 + length for length in reader.storages.values()) > size:
            raise Refused("it is cut off")
    return found


def tensors(found: Any) -> dict[str, list[int]]:
    """Names of the tensors with their shapes, as deep as they lie."""
    told: dict[str, list[int]] = {}
    waiting: list[tuple[str, Any, int]] = [("", found, 0)]
    while waiting and len(told) < NAMES_MOST:
        name, value, depth = waiting.pop()
        if isinstance(value, Dummy) and value.name.startswith("torch._utils._rebuild"):
            inner = value.arguments[0] if value.name.endswith("_rebuild_parameter") and value.arguments else value
            size = inner.arguments[2] if isinstance(inner, Dummy) and len(inner.arguments) > 3 else ()
            told[name] = [n for n in size if type(n) is int] if isinstance(size, tuple) else []
        elif isinstance(value, (dict, Dummy)) and depth < 8:
            state: Any = value.state if isinstance(value, Dummy) and isinstance(value.state, dict) else {}
            items = {**state, **(value.items if isinstance(value, Dummy) else value)}
            waiting += [(f"{name}.{key}".lstrip("."), one, depth + 1) for key, one in items.items()]
        elif isinstance(value, (list, tuple)) and depth < 8:
            waiting += [(f"{name}.{at}".lstrip("."), one, depth + 1) for at, one in enumerate(value)]
    return told


def main(path: str, whole: bool) -> dict[str, Any]:
    """What is in the file, and what is wrong with it."""
    try:
        with open(path, "rb") as file:
            begins_as_zip = file.read(4) == b"PK\x03\x04"
        if zipfile.is_zipfile(path) != begins_as_zip:
            return {"fault": "it is cut off" if begins_as_zip else "it is two kinds of file in one", "tensors": {}}
        found = read_zip(path, whole) if begins_as_zip else read_old(path)
        names = tensors(found)
        return {"fault": "" if names else "it contains no weights", "tensors": names}
    except Refused as why:
        return {"fault": str(why), "tensors": {}}
    except EOFError:
        return {"fault": "it is cut off", "tensors": {}}
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, MemoryError, RecursionError, NotImplementedError),
        *(
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            OverflowError,
            ImportError,
            OSError,
            RuntimeError,
        ),
    ):
        return {"fault": "it cannot be read as a model file", "tensors": {}}


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    print(json.dumps(main(sys.argv[1], "--whole" in sys.argv[2:])))
