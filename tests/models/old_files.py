"""Old files of weights as torch writes them, and crafted ones. torch itself is not needed: its files are pickles with
rules.

`make docs ALL=yes` makes the tables of docs/dev/old-files.md of them: sound files that must pass, sound ones that are
refused all the same, and crafted ones that must not pass.
"""

import io
import pickle
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

MADE: Final = "## What becomes of them"
MAGIC: Final = 0x1950A86A20F9469CFC6C
STORAGE_BYTES: Final = {"FloatStorage": 4, "HalfStorage": 2, "LongStorage": 8, "BFloat16Storage": 2, "DoubleStorage": 8, "IntStorage": 4, "ByteStorage": 1}  # fmt: skip


Names = dict[str, tuple[int, ...]]
NamesOnly = Mapping[str, tuple[int, ...]]  # of whatever dictionary


class Program:
    """Writes a pickle by hand, opcode by opcode."""

    def __init__(self) -> None:
        self.out = bytearray(b"\x80\x02")

    def raw(self, code: bytes) -> "Program":
        self.out += code
        return self

    def named(self, module: str, name: str) -> "Program":
        return self.raw(f"c{module}\n{name}\n".encode())

    def text(self, value: str) -> "Program":
        data = value.encode()
        return self.raw(b"X" + struct.pack("<I", len(data)) + data)

    def number(self, value: int) -> "Program":
        return self.raw(b"J" + struct.pack("<i", value))

    def numbers(self, values: tuple[int, ...]) -> "Program":
        self.raw(b"(")
        for value in values:
            self.number(value)
        return self.raw(b"t")

    def tensor(
        self, key: str, shape: tuple[int, ...], storage: str = "FloatStorage", parameter: bool = False
    ) -> "Program":
        count = 1
        for side in shape:
            count *= side
        if parameter:
            self.named("torch._utils", "_rebuild_parameter").raw(b"(")
        self.named("torch._utils", "_rebuild_tensor_v2").raw(b"((").text("storage").named("torch", storage)
        self.text(key).text("cpu").number(count).raw(b"tQ").number(0).numbers(shape).numbers((1,) * len(shape))
        self.raw(b"\x89").named("collections", "OrderedDict").raw(b")RtR")
        if parameter:
            self.raw(b"\x88").named("collections", "OrderedDict").raw(b")RtR")
        return self

    def code(self) -> bytes:
        """The same as a part of another one."""
        return bytes(self.out[2:])

    def done(self) -> bytes:
        return bytes(self.out + b".")


def state_dict(names: NamesOnly, storage: str = "FloatStorage", extra: bytes = b"", wrap: bool = False) -> bytes:
    """A pickle of an OrderedDict of tensors; `extra` is code whose value stands under the key `extra`."""
    made = Program()
    if wrap:
        made.raw(b"}").text("state_dict")
    made.named("collections", "OrderedDict").raw(b")R")
    for key, (name, shape) in enumerate(names.items()):
        made.text(name).tensor(str(key), shape, storage).raw(b"s")
    if wrap:
        made.raw(b"s")
    if extra:
        made.text("extra").raw(extra).raw(b"s")
    return made.done()


def sizes(names: NamesOnly, storage: str) -> dict[str, int]:
    out = {}
    for key, shape in enumerate(names.values()):
        count = 1
        for side in shape:
            count *= side
        out[str(key)] = count * STORAGE_BYTES[storage]
    return out


def torch_zip(
    data: bytes, storages: dict[str, int], root: str = "archive", more: dict[str, bytes] | None = None
) -> bytes:
    """As torch.save writes since 1.6."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{root}/data.pkl", data)
        for key, size in storages.items():
            archive.writestr(f"{root}/data/{key}", bytes(size))
        archive.writestr(f"{root}/version", b"3\n")
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return out.getvalue()


def torch_old(data: bytes, storages: dict[str, int]) -> bytes:
    """As torch.save wrote before 1.6."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps(system, 2)
    bodies = b"".join(struct.pack("<q", size // 4) + bytes(size) for size in storages.values())
    return head + data + pickle.dumps(sorted(storages), 2) + bodies


CHECKPOINT: Final[Names] = {
    "model.diffusion_model.input_blocks.0.0.weight": (4, 4, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": (1, 77),
    "first_stage_model.decoder.conv_in.weight": (4, 4, 3, 3),
}
LIGHTNING: Final = Program().named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint").raw(b")\x81}").text("best").named("numpy.core.multiarray", "scalar").raw(b"(").named("numpy", "dtype").raw(b"(").text("f8").raw(b"K\x00K\x01tR(K\x03").text("<").raw(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb").named("_codecs", "encode").raw(b"(").text("\x00" * 8).text("latin1").raw(b"tRtRsb").code()  # fmt: skip
EMBEDDING: Final = Program().raw(b"}").text("string_to_token").raw(b"}").text("*").number(265).raw(b"ss").text("string_to_param").named("torch.nn.modules.container", "ParameterDict").raw(b")\x81}").text("_parameters").named("collections", "OrderedDict").raw(b")R").text("*").tensor("0", (2, 768), parameter=True).raw(b"ss").text("_non_persistent_buffers_set").named("__builtin__", "set").raw(b"(]tRsbs").text("name").text("x").raw(b"s").done()  # fmt: skip
HYPERNETWORK: Final = Program().raw(b"}").number(768).raw(b"(}").text("linear.0.weight").tensor("0", (8, 8)).raw(b"s}").text("linear.0.weight").tensor("1", (8, 8)).raw(b"sts").text("name").text("h").raw(b"s").done()  # fmt: skip
DIRECTML: Final = Program().raw(b"}").text("emb_params").named("torch._utils", "_rebuild_device_tensor_from_numpy").raw(b"(").named("numpy.core.multiarray", "_reconstruct").raw(b"(").named("numpy", "ndarray").raw(b"K\x00\x85").named("_codecs", "encode").raw(b"(").text("b").text("latin1").raw(b"tRtR").named("torch", "float32").text("privateuseone:0").raw(b"\x89tRs").done()  # fmt: skip
UPSCALER: Final[Names] = {"model.0.weight": (8, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (4, 8, 3, 3)}
VAE: Final[Names] = {"encoder.conv_in.weight": (4, 3, 3, 3), "decoder.conv_in.weight": (4, 4, 3, 3)}
LORA: Final[Names] = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)}
CONTROL: Final[Names] = {"control_model.input_hint_block.0.weight": (16, 3, 3, 3)}


def zipped(names: NamesOnly, storage: str = "FloatStorage", **more: Any) -> bytes:
    return torch_zip(state_dict(names, storage, **more), sizes(names, storage))


SOUND: Final[dict[str, tuple[bytes, str]]] = {
    "SD 1.4 as published (Lightning, before torch 1.6)": (torch_old(state_dict(CHECKPOINT, extra=LIGHTNING, wrap=True), sizes(CHECKPOINT, "FloatStorage")), "checkpoint"),
    "SD 1.5 (Lightning, zip)": (zipped(CHECKPOINT, extra=LIGHTNING, wrap=True), "checkpoint"),
    "SD 1.5 inpainting": (zipped(CHECKPOINT | {"model.diffusion_model.input_blocks.0.0.weight": (4, 9, 3, 3)}), "checkpoint"),
    "pruned, half precision": (zipped(CHECKPOINT, "HalfStorage"), "checkpoint"),
    "merged, bfloat16": (zipped(CHECKPOINT, "BFloat16Storage"), "checkpoint"),
    "SD 2.1": (zipped({"model.diffusion_model.input_blocks.0.0.weight": (4, 4, 3, 3), "cond_stage_model.model.ln_final.weight": (8,)}, extra=LIGHTNING, wrap=True), "checkpoint"),
    "VAE (.vae.pt)": (zipped(VAE, wrap=True), "VAE"),
    "VAE (kl-f8-anime2, Lightning)": (zipped(VAE, extra=LIGHTNING, wrap=True), "VAE"),
    "embedding of 2022": (torch_zip(EMBEDDING, {"0": 2 * 768 * 4}), "embedding"),
    "embedding, diffusers": (zipped({"<thing>": (1, 768)}), "embedding"),
    "embedding made with DirectML": (torch_zip(DIRECTML, {}), "embedding"),
    "hypernetwork": (torch_zip(HYPERNETWORK, {"0": 256, "1": 256}), "hypernetwork"),
    "LoRA (.pt)": (zipped(LORA), "LoRA"),
    "upscaler (ESRGAN, old)": (torch_old(state_dict(UPSCALER), sizes(UPSCALER, "FloatStorage")), "upscaler"),
    "upscaler (params_ema)": (zipped({"conv_first.weight": (8, 3, 3, 3), "body.0.rdb1.conv1.weight": (4, 8, 3, 3)}), "upscaler"),
    "LDSR (DoubleStorage)": (zipped(CHECKPOINT, "DoubleStorage", wrap=True), "checkpoint"),
    "ControlNet (.pth)": (zipped(CONTROL), "ControlNet"),
}  # fmt: skip


def wrapped(module: str, name: str) -> bytes:
    """A checkpoint that holds an object of that class beside its tensors."""
    return zipped(CHECKPOINT, extra=Program().named(module, name).raw(b")\x81}").text("x").number(1).raw(b"sb").code())


def call(module: str, name: str, argument: str = "true") -> bytes:
    """The classic: a function of Python's with one text."""
    return Program().named(module, name).raw(b"(").text(argument).raw(b"tR").code()


def detector(*more: tuple[str, str]) -> bytes:
    """A whole model of ultralytics, as ADetailer's detectors are saved: objects of classes that hold others."""
    made = Program().raw(b"}").text("model").named("ultralytics.nn.tasks", "DetectionModel").raw(b")\x81}")
    made.text("model").named("torch.nn.modules.container", "Sequential").raw(b")\x81}")
    made.text("0").named("ultralytics.nn.modules.conv", "Conv").raw(b")\x81}")
    made.text("weight").tensor("0", (4, 3), "HalfStorage", parameter=True).raw(b"sbsbsbs")
    for module, name in more:
        made.text(name).raw(call(module, name)).raw(b"s")
    return torch_zip(made.done(), {"0": 24})


def segmenter(inside: Program, more: dict[str, bytes] | None = None) -> bytes:
    """A detector with something more in its last part: what the hub lists for those of Bingsu, Anzhc and others."""
    made = Program().raw(b"}").text("model").named("ultralytics.nn.tasks", "SegmentationModel").raw(b")\x81}")
    made.text("0").named("ultralytics.nn.modules.head", "Segment").raw(b")\x81}")
    made.text("weight").tensor("0", (4, 3), "HalfStorage", parameter=True).raw(b"s")
    return torch_zip(made.raw(inside.code()).raw(b"bsbs").done(), {"0": 24}, more=more)


def attribute(module: str, owner: str, name: str, then: bytes = b"s") -> Program:
    """`getattr` of a class, as protocol 2 writes a method of it."""
    made = Program().text("detect").named("__builtin__", "getattr").named(module, owner).text(name)
    return made.raw(b"\x86R").raw(then)


HEAD: Final = ("ultralytics.nn.modules.head", "Detect")
DETECTORS: Final = {
    "one that segments": segmenter(attribute(*HEAD, "forward")),
    "one with its loss": segmenter(
        Program().text("criterion").named("ultralytics.utils.tal", "TaskAlignedAssigner").raw(b")\x81}")
        .text("topk").number(10).raw(b"sbs")
    ),
    "one of 2025": segmenter(Program(), {"archive/.format_version": b"1", "archive/.storage_alignment": b"64"}),
}  # fmt: skip
NO_DETECTORS: Final = {
    "getattr of something else": segmenter(attribute("torch", "Size", "forward")),
    "getattr of another attribute": segmenter(attribute(*HEAD, "__init__")),
    "a call of what getattr gives": segmenter(attribute(*HEAD, "forward", b"(Vx\ntRs")),
    "a state for what getattr gives": segmenter(attribute(*HEAD, "forward", b"}Va\nK\x01sbs")),
}


# Files that do no harm, and are refused all the same, with what AUTOMATIC1111 itself does with them.
REFUSED_ALTHOUGH_SOUND: Final[dict[str, tuple[bytes, str]]] = {
    "saved by PyTorch 2.6 or later": (torch_zip(state_dict(CHECKPOINT), sizes(CHECKPOINT, "FloatStorage"), more={"archive/.format_version": b"1"}), "refuses it"),
    "saved by PyTorch 2.8 or later": (torch_zip(state_dict(CHECKPOINT), sizes(CHECKPOINT, "FloatStorage"), more={"archive/.storage_alignment": b"64"}), "refuses it"),
    "TorchScript (an upscaler)": (torch_zip(state_dict(UPSCALER), sizes(UPSCALER, "FloatStorage"), more={"archive/constants.pkl": pickle.dumps(()), "archive/code/x.py": b"def f(): pass"}), "refuses it"),
    "numbers of NumPy 2 (Lightning)": (zipped(CHECKPOINT, extra=LIGHTNING.replace(b"numpy.core.multiarray", b"numpy._core.multiarray"), wrap=True), "refuses it"),
    "a configuration of OmegaConf beside the weights": (wrapped("omegaconf.dictconfig", "DictConfig"), "refuses it"),
    "another callback of Lightning": (wrapped("pytorch_lightning.callbacks.early_stopping", "EarlyStopping"), "refuses it"),
    "8-bit numbers": (torch_zip(state_dict(CHECKPOINT).replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3"), sizes(CHECKPOINT, "FloatStorage")), "refuses it"),
}  # fmt: skip


DETECTOR: Final = detector()
CALLS: Final = [
    ("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "Popen"), ("subprocess", "check_output"),
    ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"), ("__builtin__", "exec"), ("builtins", "getattr"),
    ("builtins", "__import__"), ("__builtin__", "open"), ("importlib", "import_module"), ("runpy", "run_path"), ("code", "InteractiveInterpreter"),
    ("pty", "spawn"), ("socket", "create_connection"), ("urllib.request", "urlopen"), ("webbrowser", "open"), ("shutil", "rmtree"),
    ("pip", "main"), ("pip._internal", "main"), ("pdb", "run"), ("cProfile", "run"), ("timeit", "timeit"), ("doctest", "debug_script"),
    ("bdb", "Bdb"), ("ctypes", "CDLL"), ("torch.hub", "load"), ("torch.storage", "_load_from_bytes"), ("torch", "load"),
    ("torch.utils.collect_env", "run"), ("torch._inductor.codecache", "compile_file"), ("numpy.testing._private.utils", "runstring"),
    ("numpy", "load"), ("numpy.f2py.crackfortran", "myeval"), ("pickle", "loads"), ("_pickle", "loads"), ("marshal", "loads"), ("types", "FunctionType"),
    ("functools", "partial"), ("functools", "reduce"), ("operator", "attrgetter"), ("operator", "methodcaller"), ("copyreg", "_reconstructor"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start"), ("logging.config", "valid_ident"), ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ("omegaconf.dictconfig", "DictConfig"), ("pytorch_lightning.callbacks", "model_checkpoint"), ("pytorch_lightning.core.saving", "load_from_checkpoint"),
    ("transformers", "AutoModel"), ("ultralytics.nn.tasks", "DetectionModel"), ("collections", "namedtuple"), ("torch._utils", "_import_dotted_name"),
]  # fmt: skip


def crafted() -> dict[str, bytes]:
    """Files that must be refused."""
    files = {
        f"calls {module}.{name}": torch_zip(
            state_dict(CHECKPOINT, extra=call(module, name)), sizes(CHECKPOINT, "FloatStorage")
        )
        for module, name in CALLS
    }
    good, bodies = state_dict(CHECKPOINT), sizes(CHECKPOINT, "FloatStorage")
    evil = state_dict(CHECKPOINT, extra=call("os", "system"))
    sound = torch_zip(good, bodies)
    stack = Program().raw(b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R").code()
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep, deep]
    memo = Program().raw(b"\x8c\x02os\x940\x8c\x06system\x940h\x00h\x01\x93(").text("true").raw(b"tR").code()
    itself = pickle.dumps(deep, 2)[2:-1]  # 500 deep, and so each is met 2 ** 500 times by whoever makes a text of it
    files |= {
        "a detector that calls os.system": detector(("os", "system")),
        "a detector that loads a file": detector(("ultralytics.nn.tasks", "attempt_load_weights")),
        "a detector that writes a file": detector(("ultralytics.utils", "SettingsManager")),
        "classes of torch's in a checkpoint": wrapped("torch.nn.modules.linear", "Linear"),
        "a dtype that holds itself": torch_zip(state_dict(CHECKPOINT, extra=Program().named("numpy", "dtype").raw(b"(" + itself + b"tR").code()), bodies),
        "a storage whose key holds itself": torch_zip(state_dict(CHECKPOINT, extra=b"(Vstorage\nctorch\nFloatStorage\n" + itself + b"Vcpu\nK\x01tQ"), bodies),
        "STACK_GLOBAL": torch_zip(state_dict(CHECKPOINT, extra=stack), bodies),
        "STACK_GLOBAL out of the memo": torch_zip(state_dict(CHECKPOINT, extra=memo), bodies),
        "INST": torch_zip(state_dict(CHECKPOINT, extra=b"(Vtrue\nios\nsystem\n"), bodies),
        "OBJ": torch_zip(state_dict(CHECKPOINT, extra=b"(cos\nsystem\nVtrue\no"), bodies),
        "NEWOBJ": torch_zip(state_dict(CHECKPOINT, extra=b"cos\nsystem\n(Vtrue\nt\x81"), bodies),
        "BUILD on a class": torch_zip(state_dict(CHECKPOINT, extra=Program().named("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint").raw(b"N}").text("__setstate__").named("_codecs", "encode").raw(b"s\x86b").code()), bodies),
        "EXT1": torch_zip(state_dict(CHECKPOINT, extra=b"\x82\x01"), bodies),
        "an attribute of an allowed name": torch_zip(state_dict(CHECKPOINT, extra=b"\x8c\x0bcollections\x8c\x1aOrderedDict.__init__.x\x20\x20\x20\x20\x93"[:2] + call("collections", "OrderedDict.fromkeys")), bodies),
        "an encoder nobody needs": torch_zip(state_dict(CHECKPOINT, extra=Program().named("_codecs", "encode").raw(b"(").text("x").text("zip").raw(b"tR").code()), bodies),
        "a dtype of objects": torch_zip(state_dict(CHECKPOINT, extra=Program().named("numpy", "dtype").raw(b"(").text("O8").raw(b"K\x00K\x01tR").code()), bodies),
        "a persistent id that is no storage": torch_zip(state_dict(CHECKPOINT, extra=b"(Vmodule\nVx\nVy\nVz\ntQ"), bodies),
        "nested pickle as bytes": torch_zip(state_dict(CHECKPOINT, extra=call("pickle", "loads", "cos\nsystem\n(S'true'\ntR.")), bodies),
        "before torch 1.6": torch_old(evil, bodies),
        "in the first of the five pickles": Program().raw(call("os", "system")).done() + torch_old(good, bodies),
        "in the list of storages": torch_old(good, bodies).replace(pickle.dumps(sorted(bodies), 2), Program().raw(b"]").raw(call("os", "system")).raw(b"a").done()),
        "a plain pickle, no torch": evil,
        "a plain pickle of numbers": pickle.dumps({"weights": [1, 2, 3]}),
        "a second data.pkl": torch_zip(good, bodies, more={"other/data.pkl": evil}),
        "data.pkl twice": twice(good, evil, bodies),
        "a pickle beside the tensors": torch_zip(good, bodies, more={"archive/evil.pkl": evil}),
        "two pickles in one": torch_zip(good + evil, bodies),
        "pickle in front of a zip": evil + sound,
        "zip in front of a pickle": sound + evil,
        "a zip inside a tensor": torch_zip(good, bodies)[:-40],
        "other names in the local headers": sound.replace(b"archive/data.pkl", b"archive/EVIL.pkl", 1),
        "encrypted by its flag": flagged(sound),
        "a tar archive": tarred(evil),
        "storages shorter than their tensors": torch_zip(good, {key: 1 for key in bodies}),
        "storages missing": torch_zip(good, {}),
        "cut off, zip": sound[: len(sound) // 2],
        "cut off, before torch 1.6": torch_old(good, bodies)[:-100],
        "cut off in the pickle": torch_old(good, bodies)[:200],
        "no tensors": torch_zip(pickle.dumps({"a": 1}, 2), {}),
        "a list that holds itself a thousand times": torch_zip(b"\x80\x02]q\x00(" + b"h\x00" * 1000 + b"e.", {}),
        "lists 500 deep, each twice in the one above": torch_zip(pickle.dumps(deep, 2), {}),
        "a million entries": torch_zip(b"\x80\x02](" + b"N" * 1_000_000 + b"e.", {}),
        "a tar archive that begins as a pickle": tarred_pickle(good, bodies),
        "a memo of four billion entries": torch_zip(b"\x80\x02Nr\xff\xff\xff\xff.", {}),
        "a text of two gigabytes": torch_zip(b"\x80\x02X\xff\xff\xff\x7fabc.", {}),
        "random bytes": bytes(range(7, 256)) * 40,
        "an LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 4265380512\n",
        "a message in JSON": b'{"error": "Repository not found"}',
        "a web page": b"<!doctype html><title>x</title>",
        "a RAR archive": b"Rar!\x1a\x07\x01\x00" + bytes(100),
        "nothing": b"",
    }  # fmt: skip
    return files


def twice(good: bytes, evil: bytes, bodies: dict[str, int]) -> bytes:
    out = io.BytesIO(torch_zip(good, bodies))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("archive/data.pkl", evil)
    return out.getvalue()


def flagged(data: bytes) -> bytes:
    """The bit for encryption set in the local headers only: Python's zipfile and torch's reader go by different
    ones.
    """
    return data.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")


def tarred(data: bytes) -> bytes:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tarred_pickle(good: bytes, bodies: dict[str, int]) -> bytes:
    """torch looks for an archive first; to everybody else these are its five pickles: the third is a long text, which
    is where the archive's header lies.
    """
    import tarfile

    header = bytearray(tarfile.TarInfo("x").tobuf())
    begins = pickle.dumps(MAGIC, 2) + pickle.dumps(1001, 2) + b"\x80\x02X"
    begins += struct.pack("<I", len(header) - len(begins) - 4)
    header[: len(begins)] = begins
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    parts = torch_old(good, bodies)
    return bytes(header) + b"." + parts[parts.index(good) :]


def judged(content: bytes, look: Callable[[Path], Any]) -> Any:
    """What `look` says of a file with that content."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.ckpt"
        path.write_bytes(content)
        return look(path)


def tables() -> str:
    """What becomes of each file."""
    from launcher.models.identify import identify

    passed, refused = [], []
    rows = ["| sound file | taken for | fault |", "| --- | --- | --- |"]
    for name, (content, _) in SOUND.items():
        seen = judged(content, identify)
        passed.append(not seen.fault)
        rows.append(f"| {name} | {seen.kind} {seen.base or ''} | {seen.fault or ''} |")
    rows += [
        "",
        "| sound, and refused all the same | what is said of it | AUTOMATIC1111 itself |",
        "| --- | --- | --- |",
    ]
    lost = {name: judged(content, identify).fault for name, (content, _) in REFUSED_ALTHOUGH_SOUND.items()}
    rows += [f"| {name} | {fault or 'PASSED'} | {REFUSED_ALTHOUGH_SOUND[name][1]} |" for name, fault in lost.items()]
    rows += ["", "| crafted file | what is said of it |", "| --- | --- |"]
    for name, content in crafted().items():
        seen = judged(content, identify)
        refused.append(bool(seen.fault))
        rows.append(f"| {name} | {seen.fault or 'PASSED'} |")
    count = (
        f"{sum(passed)} of {len(passed)} sound files that AUTOMATIC1111 loads pass; {len(lost)} sound ones are refused, "
        f"as AUTOMATIC1111 refuses them; {sum(refused)} of {len(refused)} crafted ones are refused."
    )
    return "\n".join([count, "", *rows, ""])
