"""What a running web UI says, read as it comes: lines of A1111 v1.10.1 and torch 2.8, as they stand in real logs."""

from pathlib import Path

import pytest

from launcher.core.status import HEADLINES, State
from launcher.webui.running import LogReader

MODEL = "/content/oneclick/data/asd1111/models/Stable-diffusion/merge.safetensors"
OTHER = "/content/oneclick/data/asd1111/models/Stable-diffusion/other.safetensors"
BEGINS = f"Launching Web UI with arguments: --data-dir /content/oneclick/data/asd1111 --opt-sdp-attention\n\
Warning: caught exception 'Found no NVIDIA driver on your system. Please check', memory monitor disabled\n\
Loading weights [6ce0161689] from {MODEL}\nCreating model from config: /x/configs/v1-inference.yaml\n"
READY = "Startup time: 9.1s (import torch: 3.1s, load scripts: 1.2s).\n"
LOADED = "Model loaded in 5.3s (load weights from disk: 0.3s, create model: 0.9s).\n"
BAR = "\r 45%|████▌     | 9/20 [00:00<00:00, 12.30it/s]\x1b[A"
PAINTED = "\n\rTotal progress: 100%|██████████| 20/20 [00:01<00:00, 14.30it/s]\n"
SHAPES = """RuntimeError: Error(s) in loading state_dict for LatentDiffusion:
	size mismatch for model.diffusion_model.input_blocks.1.1.proj_in.weight: copying a param with shape
"""
NO_ROOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.25 GiB. GPU 0 has a total capacity of 14.74 \
GiB of which 9.35 GiB is free. Including non-PyTorch memory, this process has 5.39 GiB memory in use.\n"
)
ILLEGAL = "RuntimeError: CUDA error: an illegal memory access was encountered\n"


def failing(error: str, *, frames: str = "") -> str:
    """The first model does not load (`errors.display`, modules/sd_models.py)."""
    kind = error.partition(":")[0].rpartition(".")[2].strip()
    return f"""loading stable diffusion model: {kind}
Traceback (most recent call last):
  File "/usr/lib/python3.11/threading.py", line 1002, in _bootstrap
    self._bootstrap_inner()
{frames}  File "/content/oneclick/stable-diffusion-webui/modules/sd_models.py", line 693, in get_sd_model
    load_model()
{error}

Stable diffusion model failed to load
"""


def switching(error: str) -> str:
    """Another model was chosen, and does not load (modules/options.py)."""
    kind = error.rpartition("\n  File x\n")[2].partition(":")[0]
    return f"""changing setting sd_model_checkpoint to other.safetensors: {kind}
Traceback (most recent call last):
  File "/content/oneclick/stable-diffusion-webui/modules/options.py", line 165, in set
    option.onchange()
{error}
"""


def image(error: str, size: str = "1, 1, 7, 512, 512") -> str:
    """An image that the page asked for is not painted (modules/call_queue.py)."""
    told = "".join(f"    {line}\n" for line in f"Traceback (most recent call last):\n  File x\n{error}".splitlines())
    return f"""*** Error completing request
*** Arguments: ('task(4l3)', <gradio.routes.Request object at 0x7f>, 'a lighthouse', '', [], {size}, False, 0.7) {{}}
{told}
---
"""


def api(error: str) -> str:
    told = "".join(f"    {line}\n" for line in f"Traceback (most recent call last):\n  File x\n{error}".splitlines())
    begin = "*** API error: POST: http://127.0.0.1:7860/sdapi/v1/txt2img {'error': 'OutOfMemoryError', 'detail': ''}"
    return f"{begin}\n{told}\n---\n"


def read(tmp_path: Path, *parts: str) -> LogReader:
    """A reader that has read on after each part, as the log grew."""
    reader = LogReader(tmp_path / "webui.log")
    for part in parts:
        with (tmp_path / "webui.log").open("a") as file:
            file.write(part)
        reader.read()
    return reader


def test_it_paints_once_its_page_answers_and_its_model_is_loaded(tmp_path: Path) -> None:
    assert not read(tmp_path).ready
    reader = read(tmp_path, BEGINS)
    assert (reader.ready, reader.paints, reader.stage) == (False, False, "building the model")
    reader = read(tmp_path, READY)
    assert (reader.ready, reader.paints, reader.headline) == (True, False, "The model is still being loaded")
    reader = read(tmp_path, LOADED)
    assert reader.paints and reader.headline == HEADLINES[State.READY]
    assert reader.file == "merge.safetensors"


EIO = "OSError: [Errno 5] Input/output error: '/content/drive/x'"
WORDS = '  File "/x/transformers/tokenization_utils_base.py", line 1809, in from_pretrained\n'
NO_WORDS = "OSError: Can't load tokenizer for 'openai/clip-vit-large-patch14'. If you were trying to load it from"
VOCAB = '  File "/x/transformers/models/clip/tokenization_clip.py", line 308, in __init__\n    encoder = json.load(f)\n'


@pytest.mark.parametrize(
    ("error", "frames", "says", "another"),
    [
        (SHAPES, "", "The parts of the model merge.safetensors do not fit together", True),
        ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", VOCAB, "(vocab.json) is", False),
        (EIO, "", "Google Drive gave an error while the model merge.safetensors was read", True),
        (NO_ROOM, "", "merge.safetensors does not fit: the graphics card's memory is full", True),
        ("AssertionError: VAE from commandline argument doesn't exist: /x/y.vae.pt", "", "The VAE y.vae.pt", False),
        ("safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge", "", "is damaged", True),
        ("NotImplementedError: Cannot copy out of meta tensor; no data!", "", "do not fit together", True),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "", "memory (RAM)", True),
        ("RuntimeError: No CUDA GPUs are available", "", "The graphics card failed", False),
        ("RuntimeError: CUDA error: no kernel image is available for execution on the device", "",
         "is not made for this graphics card", False),
        (NO_WORDS, WORDS, "could not be downloaded from Hugging Face", False),
        ("OSError: We couldn't connect to 'https://huggingface.co' to load this file", "", "be downloaded", False),
        ('yaml.scanner.ScannerError: mapping values are not allowed here\n  in "/x/merge.yaml"', "", ".yaml", True),
        ("omegaconf.errors.ConfigAttributeError: Missing key model\n    full_key: model", "", ".yaml", True),
        ("RuntimeError: CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`", "", "memory is full", True),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`", "", "is full", True),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.50 GiB", "", "memory (RAM)", True),
        ("ValueError: one line\nmore: of it", "", "could not be loaded (ValueError: one line)", True),
        ("KeyError: 'odd'", "", "could not be loaded (KeyError: 'odd')", True),
    ],
)  # fmt: skip
def test_a_model_that_does_not_load_is_named_with_the_reason(
    tmp_path: Path, error: str, frames: str, says: str, another: bool
) -> None:
    reader = read(tmp_path, BEGINS, READY, failing(error, frames=frames))
    assert reader.ready and not reader.paints
    assert reader.headline == "The web UI runs, but its model did not load"
    assert reader.model and says in reader.model.problem.what
    assert reader.model.known.another == another
    assert reader.model.problem.do.endswith(".") and "{" not in str(reader.model.problem)
    reader = read(tmp_path, LOADED)  # another was chosen
    assert reader.paints and not reader.model


def test_a_file_that_breaks_while_its_checksum_is_computed_is_named_too(tmp_path: Path) -> None:
    reader = read(tmp_path, READY, f"Calculating sha256 for {MODEL}: {failing(EIO)}")
    assert reader.model and "while the model merge.safetensors was read" in reader.model.problem.what


VAE = "Loading VAE weights specified in settings: /content/oneclick/data/asd1111/models/VAE/flux.safetensors\n"


@pytest.mark.parametrize(
    "error",
    (
        "RuntimeError: Error(s) in loading state_dict for AutoencoderKL:\n\tsize mismatch for encoder.conv_out.weight",
        "safetensors_rust.SafetensorError: Error while deserializing header: InvalidHeaderDeserialization",
    ),
)
def test_a_vae_that_does_not_fit_is_no_fault_of_the_model(tmp_path: Path, error: str) -> None:
    reader = read(tmp_path, BEGINS, VAE, READY, failing(error))
    assert reader.model and "The VAE flux.safetensors is damaged, or of another kind" in reader.model.problem.what
    assert not reader.model.known.another, "the web UI would take it for any model"


def test_a_vae_that_is_chosen_and_does_not_load_leaves_no_model_until_another_does(tmp_path: Path) -> None:
    """Its model is off the card then (A1111#16263)."""
    chosen = switching(SHAPES).replace("sd_model_checkpoint", "sd_vae")
    reader = read(tmp_path, BEGINS, LOADED, READY, VAE, chosen)
    assert not reader.paints
    assert reader.model and "The VAE flux.safetensors" in reader.model.problem.what
    assert read(tmp_path, "VAE weights loaded.\n").paints


def test_a_model_that_fails_after_its_vae_was_read_is_named_itself(tmp_path: Path) -> None:
    reader = read(tmp_path, BEGINS, VAE, READY, failing(NO_ROOM))
    assert reader.model and "The model merge.safetensors does not fit" in reader.model.problem.what
    assert reader.model.file == "merge.safetensors", "what is offered in its place is another one"


LORA_FAILS = """loading network /x/Lora/a.safetensors: SafetensorError
Traceback (most recent call last):
  File x
safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge

"""


def test_a_lora_that_could_not_be_loaded_is_said_until_an_image_has_all_it_asks_for(tmp_path: Path) -> None:
    reader = read(tmp_path, BEGINS, LOADED, READY, LORA_FAILS)
    assert reader.lora and "The LoRA a.safetensors could not be loaded" in reader.lora.problem.what
    assert read(tmp_path, PAINTED).lora, "that image was painted without it"
    assert not read(tmp_path, PAINTED).lora


REFUSED = f"""*** Error verifying pickled file from {OTHER}
*** The file may be malicious, so the program is not going to read it.
    Traceback (most recent call last):
      File x
    Exception: Global 'posix/system' is forbidden: the file may be malicious

---
"""


@pytest.mark.parametrize(
    ("before", "error", "says"),
    (
        (REFUSED, "AttributeError: 'NoneType' object has no attribute 'pop'", "because it could contain code"),
        (
            "",
            "requests.exceptions.ConnectionError: HTTPSConnectionPool\n\nDuring handling of the above exception, "
            f"another exception occurred:\n\nTraceback (most recent call last):\n  File x\n{SHAPES}",
            "do not fit together",
        ),
    ),
)
def test_why_a_chosen_model_does_not_load_is_what_was_said_of_it(
    tmp_path: Path, before: str, error: str, says: str
) -> None:
    reader = read(tmp_path, BEGINS, READY, LOADED, f"Loading weights [aa] from {OTHER}\n", before, switching(error))
    if before:  # its last error is only what came of it
        reader = read(tmp_path, image(f'  File "/x/sd_models.py", line 967, in reload_model_weights\n{error}\n'))
    assert reader.model and says in reader.model.problem.what


def test_no_model_at_all_is_said(tmp_path: Path) -> None:
    reader = read(tmp_path, READY, failing("FileNotFoundError: No checkpoints found. When searching for checkpoints,"))
    assert reader.model and reader.model.problem.what == "There is no model in your folder."


@pytest.mark.parametrize("restored", [False, True])
def test_a_model_that_was_chosen_and_does_not_load_leaves_the_one_before_or_none(
    tmp_path: Path, restored: bool
) -> None:
    between = f"Failed to load checkpoint, restoring previous\nLoading weights [6c] from {MODEL}\n" if restored else ""
    reader = read(tmp_path, BEGINS, LOADED, READY)
    reader = read(tmp_path, f"Loading weights [aa] from {OTHER}\n", between, switching(SHAPES))
    assert reader.model and "The parts of the model other.safetensors do not fit" in reader.model.problem.what
    assert reader.paints == restored
    assert read(tmp_path, PAINTED).paints, "the one before is still there: seen with the real A1111 and a damaged file"
    reader = read(tmp_path, f"Loading weights [aa] from {OTHER}\n", switching(SHAPES))
    assert not reader.paints
    assert read(tmp_path, f"Loading weights [6c] from {MODEL}\n", "Weights loaded in 2.1s (x: 1s).\n").paints


def test_where_a1111_says_that_it_has_no_model_the_one_before_is_not_there_either(tmp_path: Path) -> None:
    reader = read(tmp_path, BEGINS, READY, LOADED, "Failed to load checkpoint, restoring previous\n", failing(SHAPES))
    assert reader.model and not reader.paints


@pytest.mark.parametrize("report", [image, api])
def test_a_full_card_is_said_until_the_next_image(tmp_path: Path, report: object) -> None:
    assert callable(report)
    reader = read(tmp_path, BEGINS, READY, LOADED, BAR, report(NO_ROOM))
    assert reader.paints and reader.image
    assert "memory (14.74 GiB) was not enough for the last image" in reader.image.problem.what
    assert "it wanted 20.25 GiB more" in reader.image.problem.what
    assert "--medvram into **extra_arguments**" in reader.image.problem.do
    assert read(tmp_path, BAR).image
    assert not read(tmp_path, PAINTED).image


def test_a_bar_of_an_extension_is_no_image(tmp_path: Path) -> None:
    hashing = "[AddNet] Updating model hashes...\n\r100%|██████████| 86/86 [00:00<00:00, 844.86it/s]\n"
    assert not read(tmp_path, BEGINS, hashing, READY).paints
    assert not read(tmp_path, failing(SHAPES), hashing).paints
    assert not read(tmp_path, LOADED, image(NO_ROOM), hashing).image, "A1111 can be told to have no bar of the whole"


@pytest.mark.parametrize(
    ("size", "arguments", "says"),
    [
        ("1, 8, 7.0, 512, 512", "", "Set the batch size to 1."),
        ("1, 1, 7, 4096, 2048", "", "Paint it at 1024 × 1024 or less, and enlarge it afterwards"),
        ("1, 1, 7, 512, 512, True, 0.7, 4, 'Latent'", "", "Lower **Upscale by** in **Hires. fix**."),
        ("1, 1, 7, 512, 512", "--medvram", "write --lowvram into"),
        ("1, 1, 7, 512, 512", "--medvram-sdxl", "write --lowvram into"),
        ("1, 1, 7, 512, 512", "--medvram --lowvram", "choose a runtime with a larger graphics card"),
    ],
)
def test_what_helps_depends_on_the_size_and_on_the_arguments(
    tmp_path: Path, size: str, arguments: str, says: str
) -> None:
    begins = BEGINS.replace("--opt-sdp-attention", f"--opt-sdp-attention {arguments}")
    reader = read(tmp_path, begins, LOADED, READY, image(NO_ROOM, size))
    assert reader.image and says in reader.image.problem.do


NAN = "modules.devices.NansException: A tensor with NaNs was produced in {}. This could be because\n"


@pytest.mark.parametrize(
    ("error", "arguments", "says"),
    [
        ("RuntimeError: CUDA error: out of memory\n", "", "The graphics card's memory was not enough"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED\n", "", "The graphics card's memory was not enough"),
        ("RuntimeError: Unable to find a valid cuDNN algorithm to run convolution\n", "", "card's memory was not"),
        ("RuntimeError: std::bad_alloc\n", "", "The runtime's memory (RAM) was not enough"),
        ("OSError: [Errno 122] Disk quota exceeded: '/x'\n", "", "The disk is full"),
        ("AssertionError: must specify y if and only if the model is class-conditional\n", "", "do not fit the model"),
        ("RuntimeError: The size of tensor a (640) must match the size of tensor b (1280) at", "", "do not fit the"),
        ("RuntimeError: The size of tensor a (64) must match the size of tensor b (77) at", "", None),
        (NAN.format("VAE"), "", "too large for the model's VAE"),
        (NAN.format("VAE").replace("with NaNs", "with all NaNs"), "", "too large for the model's VAE"),
        ("RuntimeError: CUDA error: invalid configuration argument\n", "", "asked for more at once"),
        (NAN.format("VAE"), "--no-half-vae", "may be damaged"),
        (NAN.format("Unet"), "--no-half", "may be damaged"),
        (NAN.format("VAE"), "--no-half", "may be damaged"),
        ('RuntimeError: "LayerNormKernelImpl" not implemented for \'Half\'\n', "--no-half", None),
    ],
)  # fmt: skip
def test_what_went_wrong_with_an_image_is_said_with_what_can_still_help(
    tmp_path: Path, error: str, arguments: str, says: str | None
) -> None:
    begins = BEGINS.replace("--opt-sdp-attention", f"--opt-sdp-attention {arguments}")
    reader = read(tmp_path, begins, LOADED, READY, image(error))
    assert reader.paints and bool(says) == bool(reader.image)
    if says and reader.image:
        assert says in reader.image.problem.what and "{" not in str(reader.image.problem)
        assert not arguments or arguments not in reader.image.problem.do.split()


def test_a_card_that_was_lost_paints_nothing_any_more(tmp_path: Path) -> None:
    reader = read(tmp_path, BEGINS, LOADED, READY, image(ILLEGAL))
    assert not reader.paints and reader.headline == "The web UI runs, but it cannot paint"
    assert reader.image and "an illegal memory access" in reader.image.problem.what
    thread = f"Exception in thread Thread-4 (load_model):\nTraceback (most recent call last):\n  File x\n{ILLEGAL}"
    assert not read(tmp_path, LOADED, thread).paints


def test_an_error_that_nobody_knows_is_left_to_the_page(tmp_path: Path) -> None:
    reader = read(tmp_path, BEGINS, LOADED, READY, image("KeyError: 1\n"), "*** Error loading script: x.py\n---\n")
    assert reader.paints and not reader.image and not reader.model
