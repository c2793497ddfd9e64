"""What A1111 (v1.10.1), torch and others print when something is wrong, what it means, and what helps."""

from dataclasses import dataclass
from typing import Final

from launcher.core.problem import MORE_RAM, NEW_MACHINE, WITH_A_CARD


@dataclass(frozen=True)
class KnownFault:
    """One known failure: {file} is the model file that was read last, {why} the error's own words, the other names are
    groups of the pattern that is searched in what was printed.
    """

    what: str
    do: str
    by_extension: bool = False  # an extension may be the cause: the next start is tried without
    unless_extension: bool = False  # not if the traceback leads through an extension: that one is the cause
    paints: bool = True  # while it runs: an image can still be painted
    another: bool = False  # another model helps
    unless_given: tuple[str, ...] = ()  # while it runs: not if A1111 has one of these arguments, which did not help


EXTRA_ARGUMENTS: Final = "**extra_arguments** under **Choices**"
PRESS_RESTART: Final = "press **Restart the web UI**"
AGAIN: Final = f"Press ▶ again. If it happens again, {NEW_MACHINE}, and press ▶."
USE_ANEW: Final = f"To use it anew, {PRESS_RESTART}. If it happens again, {NEW_MACHINE}, and press ▶."

RAM_FULL: Final = (
    r"DefaultCPUAllocator|^(?:[\w.]+_Array)?MemoryError|bad_alloc|Cannot allocate memory|can't allocate memory"
)
PORT_TAKEN: Final = r"Cannot find empty port|[Aa]ddress already in use"
DRIVE_GONE: Final = r"Errno 10[37]|Transport endpoint is not connected"
DRIVE_FAILS: Final = r"Errno 5\b|Input/output error"
DISK_FULL: Final = r"No space left on device|Errno 28\](?! inotify)|Disk quota exceeded|database or disk is full"
DAMAGED_MODEL: Final = (
    r"HeaderToo\w+|MetadataIncompleteBuffer|InvalidHeader\w*|deserializing header|not a safetensors file"
    r"|PytorchStreamReader|UnpicklingError|BadZipFile|most likely corrupted|^EOFError"
)
COULD_BE_CODE: Final = (
    r"bad file inside .*The file may be malicious|The file may be malicious|Global '.*' is forbidden"
    r"|Weights only load failed"
)
DAMAGED_VAE: Final = (
    rf"\ALoading VAE weights .*/(?P<name>.+)$(?s:.*)(?:{DAMAGED_MODEL}|{COULD_BE_CODE}|in loading state_dict)"
)
CARD_TOO_OLD: Final = r"no kernel image is available"
CARD_FULL: Final = (
    r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CU\w+_STATUS_ALLOC_FAILED|valid cuDNN algorithm"
)
CARD_LOST: Final = r"CUDA error: (?P<name>.+)|GPU is lost|fallen off the bus|CUBLAS_STATUS_|CUDNN_STATUS_|cuDNN error"
NO_CARD: Final = (
    r"Found no NVIDIA driver|Torch is not able to use GPU|No CUDA GPUs|driver on your system is too old"
    r"|CUDA driver version is insufficient|system not yet initialized|unsupported display driver|CUDA unknown error"
    r"|cudaGetDeviceCount"
)

RAM: Final = KnownFault(
    "The runtime ran out of memory (RAM), which ended the web UI.",
    f"Use a smaller model, or {MORE_RAM}, and press ▶ again.",
)
FULL_DISK: Final = KnownFault(
    "The disk is full.",
    "Free some space on this machine (Files on the left), or on Google Drive, whose trash must be emptied, too, and "
    f"press ▶ again. If that is not enough, {NEW_MACHINE} once your images are saved.",
)
OLD_CARD: Final = KnownFault(
    "A part of the web UI, or of an extension, is not made for this graphics card.",
    f"Switch off the extension that you added last, or {WITH_A_CARD}, and press ▶ again.",
    paints=False,
)

# Why it ended, by its traceback or its last lines; the first that fits.
ENDS: Final = {
    r"numpy\.dtype size changed|numpy\.core\.multiarray failed to import": KnownFault(
        "An extension changed numpy, and the web UI's other packages cannot work with that.",
        f"To have the right packages again, {NEW_MACHINE}, and press ▶.",
        by_extension=True,
    ),
    CARD_FULL: KnownFault(
        "The graphics card ran out of memory.",
        "Make the image smaller, or set the batch size to 1. If that is not enough, write --medvram into "
        f"{EXTRA_ARGUMENTS}, press **Apply**, and then ▶.",
    ),
    PORT_TAKEN: KnownFault(
        "The port the web UI wanted was taken by another program.", "Press ▶ again to use another port."
    ),
    DISK_FULL: FULL_DISK,
    DRIVE_GONE: KnownFault("Google Drive was disconnected.", "Press ▶ again to connect it."),
    r"Fatal Python error: Bus error": KnownFault(
        "The file {file} could not be read to its end: Google Drive broke off.",
        "Wait a minute and press ▶ again. If it happens again, Google has locked the file for up to a day: make a copy "
        "of it on Google Drive and use the copy.",
    ),
    DRIVE_FAILS: KnownFault(
        "Google Drive answered with an error. It does that when it is busy, or when a folder has thousands of files.",
        "Wait a minute and press ▶ again. If it happens again, move some of the folder's files into new folders.",
    ),
    r"^launch\.py: error: (?P<name>.+)": KnownFault(
        "The web UI does not understand its arguments ({name}).",
        f"Correct {EXTRA_ARGUMENTS}, press **Apply**, and then ▶.",
    ),
    # A1111's own "Warning: caught exception 'Found no NVIDIA driver …', memory monitor disabled" is harmless.
    rf"^(RuntimeError|AssertionError): .*({NO_CARD})": KnownFault(
        "There is no graphics card in this runtime that the web UI can use.",
        f"To have one, {WITH_A_CARD}, and press ▶ again.",
        unless_extension=True,
    ),
    r"^[\w.]+Error: CUDA error: (?P<name>.+)": KnownFault("The graphics card failed ({name}).", AGAIN),
    r"^(ModuleNotFoundError|ImportError): (?P<name>.+)": KnownFault(
        "A part of the web UI's Python is missing ({name}).", AGAIN, by_extension=True, unless_extension=True
    ),
    RAM_FULL: RAM,
    r"^Fatal Python error: (?P<name>.+)": KnownFault(
        "The web UI crashed ({name}).", AGAIN, by_extension=True, unless_extension=True
    ),
}

ANOTHER: Final = "Use another model: one of those offered here, or any that you add."
# What is kept of the hub's is thrown away at the next start (`launch.start`): then it is downloaded anew.
DAMAGED_WORDS: Final = KnownFault(
    "The list of words that every model needs (vocab.json) is damaged, so no model can be loaded.",
    f"To have it downloaded anew, {PRESS_RESTART}.",
)
# Why a model does not load, after which A1111 goes on without one; the first that fits. No image can be painted.
NOT_LOADED: Final = {
    r"Can't load tokenizer for|couldn't connect to 'http|is not a valid model identifier": KnownFault(
        "The list of words that every model needs could not be downloaded from Hugging Face.",
        f"Check that the runtime is connected to the internet, wait a minute, and {PRESS_RESTART}.",
    ),
    r"tokenization_\w+\.py|vocab\.json|merges\.txt": DAMAGED_WORDS,
    DAMAGED_VAE: KnownFault(
        "The VAE {name} is damaged, or of another kind than the model.",
        f"Delete it from your models folder and {PRESS_RESTART}.",
    ),
    COULD_BE_CODE: KnownFault(
        "A1111 refused the model {file} because it could contain code.",
        f"Use the .safetensors file of the same model. {ANOTHER}",
        another=True,
    ),
    CARD_FULL: KnownFault(
        "The model {file} does not fit: the graphics card's memory is full.",
        f"To make it fit, {{flag}} and {PRESS_RESTART}. {ANOTHER}",
        another=True,
    ),
    RAM_FULL: KnownFault(
        "The model {file} does not fit into the runtime's memory (RAM).",
        f"Use a smaller model, or {MORE_RAM}. {ANOTHER}",
        another=True,
    ),
    DRIVE_FAILS: KnownFault(
        "Google Drive gave an error while the model {file} was read. It does that when it is busy, and for up to a day "
        "when a file was downloaded too often.",
        f"Wait a minute and {PRESS_RESTART}. If it happens again, make a copy of it on Google Drive and use that.",
        another=True,
    ),
    DRIVE_GONE: KnownFault("Google Drive was disconnected.", f"Once it is connected again, {PRESS_RESTART}."),
    DAMAGED_MODEL: KnownFault(
        "The model {file} is damaged: it is cut off, or a web page saved under a model's name.",
        f"Delete it from your models folder and add it again. {ANOTHER}",
        another=True,
    ),
    r"VAE .*doesn't exist: .*?(?P<name>[^/\n]+)$": KnownFault(
        "The VAE {name} is not there, and the model cannot be loaded without it.",
        f"Remove it from {EXTRA_ARGUMENTS}, or add the file, and {PRESS_RESTART}.",
    ),
    r"No checkpoints found": KnownFault(
        "There is no model in your folder.",
        "Add one: type its name or paste its link, or use the one offered here.",
        another=True,
    ),
    r"size mismatch|in loading state_dict|shapes cannot be multiplied|copy out of meta tensor": KnownFault(
        "The parts of the model {file} do not fit together: it may be merged of two kinds, or of a kind that A1111 "
        "does not know.",
        ANOTHER,
        another=True,
    ),
    r"^yaml\.|^omegaconf\.|Invalid loaded object type": KnownFault(
        "The .yaml file beside the model {file} does not describe a model.",
        f"Delete it from your models folder, for A1111 can do without, and {PRESS_RESTART}. {ANOTHER}",
        another=True,
    ),
    CARD_TOO_OLD: OLD_CARD,
    f"{NO_CARD}|{CARD_LOST}": KnownFault(
        "The graphics card failed while the model {file} was loaded ({why}).", USE_ANEW
    ),
    "": KnownFault("The model {file} could not be loaded ({why}).", ANOTHER, another=True),
}

# A LoRA that is not loaded: the image is painted without it, and the page does not say so.
NO_LORA: Final = {
    r"\Aloading network .*/(?P<name>.+): \w+$": KnownFault(
        "The LoRA {name} could not be loaded ({why}), and the image was painted without it.",
        "If that happens each time, it is damaged or of a kind that A1111 cannot use: delete it and add it again, or "
        "take it out of the prompt.",
    )
}

WIDTH: Final = r"\((?:320|640|768|1024|1280|2048)\)"  # of a model's layers; others are of images and prompts
# Why an image was not painted; the first that fits. What is not here is said by the web UI's own page only.
NOT_PAINTED: Final = {
    r"out of memory\. Tried to allocate (?P<wanted>[\d.]+ \w+).*?total capacity of (?P<whole>[\d.]+ \w+)": KnownFault(
        "The graphics card's memory ({whole}) was not enough for the last image{size}: it wanted {wanted} more.",
        "{smaller} If that is not enough: {flag}, and press **Restart the web UI**.",
    ),
    CARD_FULL: KnownFault(
        "The graphics card's memory was not enough for the last image{size}.",
        "{smaller} If that is not enough: {flag}, and press **Restart the web UI**.",
    ),
    RAM_FULL: KnownFault("The runtime's memory (RAM) was not enough for the last image{size}.", "{smaller}"),
    r"A tensor with (?:all )?NaNs was produced in VAE": KnownFault(
        "The last image came out empty: its numbers were too large for the model's VAE.",
        f"Write --no-half-vae into {EXTRA_ARGUMENTS} and {PRESS_RESTART}.",
        unless_given=("--no-half-vae", "--no-half"),
    ),
    r"A tensor with (?:all )?NaNs was produced in (?!VAE)": KnownFault(
        "The last image came out empty: its numbers were too large for this model.",
        "In the web UI, switch on **Settings → Stable Diffusion → Upcast cross attention layer to float32**; if that "
        f"does not help, write --no-half into {EXTRA_ARGUMENTS} and {PRESS_RESTART}.",
        unless_given=("--no-half",),
    ),
    r"A tensor with (?:all )?NaNs was produced": KnownFault(
        "The last image came out empty: the model or its VAE may be damaged.", "Choose another model, or another VAE."
    ),
    rf"shapes cannot be multiplied|must specify y if|(?:size of tensor \w {WIDTH}[\w ]*){{2}}": KnownFault(
        "The last image needed parts that do not fit the model: a LoRA, an embedding or a ControlNet of another kind.",
        "Take it out of the prompt, or choose a model of the same kind.",
    ),
    DISK_FULL: FULL_DISK,
    r"CUDA error: invalid configuration argument|CUDNN_STATUS_NOT_SUPPORTED": KnownFault(  # the card works on
        "The last image{size} asked for more at once than the graphics card can do.", "{smaller}"
    ),
    r"not implemented for 'Half'": KnownFault(
        "The web UI computes on the processor, which cannot work with half-precision numbers.",
        f"Write --no-half into {EXTRA_ARGUMENTS} and {PRESS_RESTART}.",
        paints=False,
        unless_given=("--no-half",),
    ),
    CARD_TOO_OLD: OLD_CARD,
    f"{NO_CARD}|{CARD_LOST}": KnownFault("The graphics card failed ({why}).", USE_ANEW, paints=False),
}
