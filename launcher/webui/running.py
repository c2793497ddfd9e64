"""What the web UI says while it runs, read as it comes: whether its model is loaded, and why an image was not painted.

A1111 goes on after what makes it useless: its log is the only place where it says so (v1.10.1, modules/errors.py).
"""

import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from launcher.core.problem import LARGER_CARD, Problem, readable
from launcher.core.status import HEADLINES, State
from launcher.webui.explain import ERROR_LINE, READ, in_words, last_error
from launcher.webui.known_faults import EXTRA_ARGUMENTS, NO_LORA, NOT_LOADED, NOT_PAINTED, KnownFault

READY_LINE: Final = "Startup time:"  # nothing may ask it for anything before: see docs/dev/how-it-works.md
MODEL_LOADED: Final = re.compile(r"(?:Model|Weights) loaded in |Using already loaded model |VAE weights loaded\.")
LOADING: Final = "loading stable diffusion model: "  # the line before the traceback of the first model
NO_MODEL: Final = "Stable diffusion model failed to load"
RESTORED: Final = "Failed to load checkpoint, restoring previous"
# What fails -> the line before its traceback, which may say the error's kind. After a model, a VAE or a precision that
# was chosen the model before is off the card (modules/sd_vae.py); a thread loads the first model. An image is painted
# without a LoRA that fails.
FAILS: Final = {
    "model": re.compile(
        r"changing setting (?:sd_model_checkpoint|sd_vae\w*|fp8_storage|cache_fp16_weight) to .*: (?P<kind>\w+)$"
        r"|Exception in thread .*load_model"
    ),
    "lora": re.compile(r"loading network /.*: (?P<kind>\w+)$"),
    "image": re.compile(r"\*\*\* (?:Error completing request|API error: POST: \S*/(?:txt2img|img2img|extra))"),
}
ENDS_REPORT: Final = "---"  # of an error that it survived
# By default there are two of each image. One without a name may be anybody's: it tells that no fault is left, not more.
BAR_ENDS: Final = re.compile(r"\s*(?P<whole>Total progress: *)?100%\|[^|]*\| *(\d+)/\2 ")
SIZE: Final = re.compile(
    r"\], (?P<count>\d+), (?P<batch>\d+), [\d.]+, (?P<height>\d+), (?P<width>\d+), (?P<hires>True)?"
)
LARGE_IMAGE: Final = 1024 * 1024 * 3 // 2  # pixels of an image that is better painted smaller and enlarged
MOST_LINES: Final = 600  # that are kept for one traceback
# What a start prints, in order -> what a person is told.
STAGES: Final = (
    ("Launching Web UI with arguments", "A1111 is starting"),
    ("Loading weights [", "reading the checkpoint"),
    ("Creating model from config", "building the model"),
    ("Running on local URL", "almost there"),
)


@dataclass(frozen=True)
class Fault:
    """What is wrong while it runs."""

    problem: Problem
    paints: bool  # an image can still be painted
    file: str | None  # the model file that was read last
    known: KnownFault


class LogReader:
    """Follows the log of one start; any thread may have it read on."""

    def __init__(self, log: Path) -> None:
        self._log, self._lock = log, threading.Lock()
        self._at, self._rest = 0, b""  # how far it was read; the begun line at its end
        self._lines = deque[str](maxlen=MOST_LINES)
        self._failing, self._kind = "", ""  # of what a traceback is being read; the kind of the error that ends it
        self._refused: str | None = None  # a file that did not load, after which the one before was taken up again
        self._arguments, self._file = "", ""
        self.ready, self.stage, self.loaded = False, "", False
        self.model: Fault | None = None
        self.image: Fault | None = None  # until the next image is painted
        self.lora: Fault | None = None  # until an image is painted with all it asks for
        self._lacked = False  # by the image that is being painted

    @property
    def paints(self) -> bool:
        return self.loaded and (self.image is None or self.image.paints)

    @property
    def needs_another(self) -> bool:
        """True where it cannot paint with what it has; while a model is being loaded nothing is known against it."""
        return not self.paints and (self.model or self.image) is not None

    @property
    def headline(self) -> str:
        if self.paints:
            return HEADLINES[State.READY]
        if self.image and not self.image.paints:
            return "The web UI runs, but it cannot paint"
        return "The web UI runs, but its model did not load" if self.model else "The model is still being loaded"

    @property
    def file(self) -> str | None:
        return PurePath(self._file).name if self._file else None

    def read(self) -> "LogReader":
        """Take in what came since."""
        with self._lock:
            try:
                with self._log.open("rb") as file:
                    file.seek(self._at)
                    came = file.read()
            except FileNotFoundError:
                return self
            self._at += len(came)
            *lines, self._rest = re.split(rb"[\r\n]", self._rest + came)
            for line in lines:
                text = line.decode(errors="replace")
                bar = BAR_ENDS.match(text)
                if bar and bar["whole"]:  # painted, perhaps by the model before one that did not load
                    self._model_is(None)
                    self.lora, self._lacked = self.lora if self._lacked else None, False
                elif bar and self.paints:
                    self.image = None
                self._take(readable(text))
        return self

    def _take(self, line: str) -> None:
        self._lines.append(line)
        self.ready = self.ready or READY_LINE in line
        self.stage = next((told for begin, told in STAGES if begin in line), self.stage)
        if MODEL_LOADED.match(line):
            self._model_is(None)
        elif line == NO_MODEL:
            self._model_is(self._fault(NOT_LOADED, paints=False), loaded=False)
        elif self._failing == "image" and line == ENDS_REPORT:
            self._image_fails()
        elif self._failing in ("model", "lora") and ERROR_LINE.match(line) and self._kind in line.partition(":")[0]:
            if self._failing == "model":
                self._model_fails()
            else:
                self.lora, self._lacked, self._failing = self._fault(NO_LORA), True, ""
        elif line == RESTORED:
            self._refused = self._file
        elif line.startswith("Launching Web UI with arguments"):
            self._arguments = line
        elif read := READ.match(line):
            self._begin(line)
            if not line.startswith("Loading VAE"):
                self._file = read[1]
        elif line.startswith(LOADING):
            self._begin(line, keep=True)
        else:
            for what, begins in FAILS.items():
                if found := begins.match(line):
                    self._failing, self._kind = what, found.groupdict().get("kind") or ""
                    self._begin(line, keep=what == "model")

    def _begin(self, *line: str, keep: bool = False) -> None:
        """Keep the lines from here on; or, to `keep` what was said of the file that is being read, from there."""
        if not (keep and READ.match(self._lines[0])):
            self._lines.clear()
            self._lines.extend(line)

    def _model_is(self, fault: Fault | None, *, loaded: bool = True) -> None:
        self.model, self.loaded = fault, loaded
        self.image = self.image if fault else None
        self._failing, self._refused = "", None
        self._begin()

    def _model_fails(self) -> None:
        before = self.loaded and self._refused is not None
        self._model_is(self._fault(NOT_LOADED, paints=before), loaded=before)

    def _image_fails(self) -> None:
        """An image was not painted, perhaps for want of a model; it may be known already why there is none."""
        text = "\n".join(self._lines)
        reloads = "in reload_model_weights" in text
        if reloads and not (self.model and "'NoneType' object has" in text):
            return self._model_fails()
        self.image = self.image if reloads else self._fault(NOT_PAINTED) or self.image
        self._failing = ""
        self._begin()

    def _fault(self, table: Mapping[str, KnownFault], *, paints: bool = True) -> Fault | None:
        text = "\n".join(line.removeprefix("    ") for line in self._lines)
        file = PurePath(self._refused).name if self._refused else self.file
        why = (last_error(text) or "A1111 does not say why")[:200].rstrip(".")
        given = {*self._arguments.split()}
        less = f"write {'--lowvram' if given & {'--medvram', '--medvram-sdxl'} else '--medvram'} into {EXTRA_ARGUMENTS}"
        flag = LARGER_CARD if "--lowvram" in given else less  # for A1111 to take less of the card's memory
        names = {"file": file or "you chose", "why": why, "flag": flag} | size_in(text)
        for pattern, known in table.items():
            if not given & {*known.unless_given} and (found := re.search(pattern, text, re.MULTILINE)):
                return Fault(in_words(known, found, names), paints and known.paints, file, known)
        return None


def size_in(text: str) -> dict[str, str]:
    """How large the image was to be, and how it would take less memory, by the arguments that A1111 printed."""
    found = SIZE.search(text)
    if not found:
        return {"size": "", "smaller": "Make the image smaller, or set the batch size to 1."}
    batch, width, height = int(found["batch"]), int(found["width"]), int(found["height"])
    smaller = "Set the batch size to 1." if batch > 1 else "Make the image smaller."
    if width * height > LARGE_IMAGE:
        smaller = "Paint it at 1024 × 1024 or less, and enlarge it afterwards in the tab **Extras**."
    more = f", {batch} at a time" if batch > 1 else ""
    if found["hires"] or "in txt2img_upscale" in text:  # the size is that before it
        more += ", enlarged by Hires. fix"
        smaller = f"{'Set the batch size to 1, or lower' if batch > 1 else 'Lower'} **Upscale by** in **Hires. fix**."
    return {"size": f" ({width} × {height}{more})", "smaller": smaller}
