"""An extension of the web UI: the UNet's work is recorded once as a CUDA graph, and played again for each step.

While A1111 paints, a fast card waits for Python most of the time: one call of the UNet launches 1,559 (SD 1.5) to
3,121 (SDXL) kernels. A graph launches them all at once. What it was not recorded for goes the ordinary way, at once:
other shapes, modules with hooks (ControlNet, low-VRAM modes, token merging), networks that are not yet in the weights.
Each recording is compared with the ordinary call and timed against it before it is used. What was measured is in
docs/dev/faster-images.md.
"""

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from modules import devices, script_callbacks, scripts, sd_unet, shared
from modules.sd_hijack import model_hijack

LEAST_CAPABILITY = (8, 0)  # of the card: with older ones the card itself is what takes the time
LEAST_FREE = 4 << 30  # bytes of the card's memory that are free before a graph is recorded
LEAST_GAIN = 1.1  # times the ordinary call's speed
MOST_GRAPHS = 6
RECORDED_AT = 2  # the call of one shape at which it is recorded

Tensors = tuple[torch.Tensor, ...]


class Recording(NamedTuple):
    graph: Any
    inputs: Tensors
    output: torch.Tensor

    def play(self, tensors: Tensors) -> torch.Tensor:
        for mine, given in zip(self.inputs, tensors, strict=True):
            mine.copy_(given)
        self.graph.replay()
        return self.output.clone()


def networks_in_use() -> Any:
    """What the Lora extension puts into the weights, layer by layer, at the next ordinary call."""
    loaded = getattr(sys.modules.get("networks"), "loaded_networks", ())  # of extensions-builtin/Lora
    return tuple((one.name, one.te_multiplier, one.unet_multiplier, one.dyn_dim) for one in loaded)


def is_hooked(module: torch.nn.Module) -> bool:
    """Something works in this module that a recording would leave out, or keep for ever."""
    for name in ("forward", "_forward"):
        own = module.__dict__.get(name)
        if own is not None and getattr(own, "__func__", own) is not getattr(type(module), name, None):
            return True
    return bool(module._forward_hooks or module._forward_pre_hooks)


def why_not(p: Any, unet: torch.nn.Module, forward: Callable[..., Any]) -> str | None:
    """Why these images are made the ordinary way; None if they need not."""
    if not shared.opts.faster_images:
        return "switched off in the settings"
    if devices.device.type != "cuda" or torch.cuda.get_device_capability(devices.device) < LEAST_CAPABILITY:
        return "the card would not gain by it"
    if getattr(p.sd_model, "lowvram", False) or shared.loaded_hypernetworks or sd_unet.current_unet is not None:
        return "low-VRAM mode, a hypernetwork or another UNet"
    if shared.opts.lora_functional and networks_in_use():
        return "LoRAs are worked out anew in each layer"
    below = (module for module in unet.modules() if module is not unet)
    if unet.__dict__.get("forward") is not forward or unet._forward_hooks or unet._forward_pre_hooks:
        return "something else stands in the UNet's place"
    return "something is hooked into the UNet" if any(map(is_hooked, below)) else None


def ways_of(unet: torch.nn.Module) -> Any:
    """What the UNet's work depends on besides weights and inputs: another value is another work."""
    types = {type(module) for module in unet.modules()}
    functions = {(one, getattr(one, "forward", None), getattr(one, "_forward", None)) for one in types}
    options = (shared.opts.upcast_attn, model_hijack.circular_enabled, devices.unet_needs_upcast, devices.dtype_unet)
    return functions, options, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic


@contextmanager
def time_embedding_on_the_card() -> Iterator[None]:
    """SDXL's makes its frequencies on the processor and sends them over, which cannot be recorded: they are kept there.

    They are made as before, so that not a bit differs.
    """
    from sgm.modules.diffusionmodules import openaimodel

    @functools.lru_cache(None)
    def frequencies(half: int, longest: int, device: torch.device) -> torch.Tensor:
        exponents = torch.arange(start=0, end=half, dtype=torch.float32)
        return torch.exp(-math.log(longest) * exponents / half).to(device)

    before = openaimodel.timestep_embedding

    def embedding(steps: torch.Tensor, dim: int, max_period: int = 10000, repeat_only: bool = False) -> torch.Tensor:
        if repeat_only or dim % 2:
            return before(steps, dim, max_period, repeat_only)
        angles = steps[:, None].float() * frequencies(dim // 2, max_period, steps.device)[None]
        kind = torch.float32 if devices.unet_needs_upcast and steps.dtype == torch.int64 else devices.dtype_unet
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1).to(kind)

    openaimodel.timestep_embedding = embedding
    try:
        yield
    finally:
        openaimodel.timestep_embedding = before


def record(call: Callable[..., torch.Tensor], tensors: Tensors, pool: Any) -> Recording | None:
    """The call as a graph; None where it is not the same, or not faster. Raises what torch raises."""
    inputs = tuple(tensor.clone() for tensor in tensors)
    uncached: Any = nullcontext()
    if torch.is_autocast_enabled():  # weights that it has cast and keeps would belong to the recording
        uncached = torch.autocast("cuda", dtype=torch.get_autocast_gpu_dtype(), cache_enabled=False)
    graph = torch.cuda.CUDAGraph()
    with time_embedding_on_the_card(), uncached:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            call(*inputs)
        torch.cuda.current_stream().wait_stream(beside)
        # Previews are made in another thread meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            output = call(*inputs)
    recording = Recording(graph, inputs, output)
    expected, ordinary = timed(lambda: call(*tensors))
    got, played = timed(lambda: recording.play(tensors))
    difference = (expected.float() - got.float()).abs().max().item()
    if difference != 0:  # also where anything is "not a number"
        raise ValueError(f"the recording differs by {difference:.3g}")
    said = f"{1000 * ordinary:.0f} ms a step, now {1000 * played:.0f}"
    print(f"Faster images: {'x'.join(map(str, tensors[0].shape))}: {said}")
    return recording if ordinary >= LEAST_GAIN * played else None


def timed(call: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    """(What it gives, seconds): the better of two."""
    seconds = []
    for _ in range(2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = call()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


class FasterUNet:
    """Stands in the place of one UNet's `forward`: A1111's own way for that, `SdUnet`, would unload the model."""

    off: str | None = None  # why no UNet is recorded any more in this session

    def __init__(self, unet: torch.nn.Module, record: Callable[..., Recording | None] = record) -> None:
        self.unet, self.record = unet, record
        self.begun = False
        self.ways: Any = None
        self.networks: Any = None  # that are in the weights
        self.weights: list[torch.Tensor] = []
        self.places: list[int] = []  # of the weights that were recorded
        self.forget()

    def begin(self, p: Any) -> None:
        """Sampling begins: look once at what may have changed since the last."""
        self.begun = False
        if FasterUNet.off or why_not(p, self.unet, self):
            return
        ways = ways_of(self.unet)
        if ways != self.ways:
            self.forget()
        self.ways, self.begun = ways, True
        if networks_in_use() == self.networks:
            self.look_at_weights()

    def forget(self) -> None:
        self.recordings: dict[Any, Recording | None] = {}  # None: not worth it
        self.seen: dict[Any, int] = {}
        self.pool: Any = None

    def look_at_weights(self) -> None:
        """A model that was on the processor meanwhile lies elsewhere now: its recordings lead to nothing."""
        self.weights = list(self.unet.parameters())
        places = [weight.data_ptr() for weight in self.weights]
        if places != self.places:
            self.forget()
        self.places = places

    def ordinary(self, x: Any, timesteps: Any = None, context: Any = None, *more: Any, **named: Any) -> Any:
        return type(self.unet).forward(self.unet, x, timesteps, context, *more, **named)

    def __call__(self, x: Any, timesteps: Any = None, context: Any = None, y: Any = None, **named: Any) -> Any:
        asked = {"y": y} if y is not None else {}
        given = (x, timesteps, context, *asked.values())
        usual = self.begun and not named and all(torch.is_tensor(one) and one.is_cuda for one in given)
        if not usual or self.unet.__dict__.get("forward") is not self or torch.is_grad_enabled():
            return self.ordinary(x, timesteps, context, **asked, **named)
        if networks_in_use() != self.networks:  # this call puts them into the weights
            wanted = networks_in_use()
            output = self.ordinary(x, timesteps, context, **asked)
            self.networks = wanted
            self.look_at_weights()
            return output
        if [weight.data_ptr() for weight in self.weights] != self.places:
            self.look_at_weights()
        key = tuple((one.shape, one.dtype, one.stride()) for one in given), torch.is_autocast_enabled()
        recording = self.recordings.get(key)
        if key not in self.recordings:
            recording = self.try_to_record(key, given)
        return recording.play(given) if recording else self.ordinary(x, timesteps, context, **asked)

    def try_to_record(self, key: Any, given: Tensors) -> Recording | None:
        self.seen[key] = self.seen.get(key, 0) + 1
        if self.seen[key] < RECORDED_AT or len(self.recordings) >= MOST_GRAPHS or FasterUNet.off:
            return None
        kept_by_torch = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
        if torch.cuda.mem_get_info()[0] + kept_by_torch < LEAST_FREE:
            return None
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        try:
            self.recordings[key] = self.record(self.ordinary, given, self.pool)
        except Exception as error:
            FasterUNet.off = f"{type(error).__name__}: {error}"
            self.forget()
            print(f"Faster images: off until the next start ({FasterUNet.off}). Images are made the ordinary way.")
        return self.recordings.get(key)


class FasterImages(scripts.Script):
    """Tells the UNet that sampling begins and ends: between them nobody else calls it."""

    def title(self) -> str:
        return "Faster images"

    def show(self, is_img2img: bool) -> Any:
        return scripts.AlwaysVisible

    def process_before_every_sampling(self, p: Any, *args: Any, **kwargs: Any) -> None:
        unet = getattr(getattr(p.sd_model, "model", None), "diffusion_model", None)
        if type(unet).__name__ != "UNetModel":  # SD 3 has another kind
            return
        if "forward" not in unet.__dict__:
            unet.forward = FasterUNet(unet)
        if isinstance(unet.forward, FasterUNet):
            unet.forward.begin(p)

    def post_sample(self, p: Any, ps: Any, *args: Any) -> None:
        forward = p.sd_model.model.diffusion_model.__dict__.get("forward") if hasattr(p.sd_model, "model") else None
        if isinstance(forward, FasterUNet):
            forward.begun = False


def settings() -> None:
    about = "Faster images on newer graphics cards (the UNet as a CUDA graph; checked against the ordinary way)"
    section = ("optimizations", "Optimizations")
    shared.opts.add_option("faster_images", shared.OptionInfo(True, about, section=section))


script_callbacks.on_ui_settings(settings)
