"""When the extension "faster images" plays a recording, and when it goes the ordinary way. Torch and the web UI are
stood in for: recording itself needs a card (`make bench-card`)."""

import importlib.util
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "launcher" / "extensions" / "builtin" / "faster_images" / "scripts" / "faster_images.py"


class Tensor:
    is_cuda = True

    def __init__(self, *shape: int, place: int = 0) -> None:
        self.shape, self.dtype, self.place = shape, "float16", place

    def stride(self) -> tuple[int, ...]:
        return self.shape[1:]

    def data_ptr(self) -> int:
        return self.place


class Module:
    """As much of `torch.nn.Module` as is looked at."""

    def __init__(self, *below: "Module") -> None:
        self.below, self._forward_hooks, self._forward_pre_hooks = below, {}, {}  # type: ignore[var-annotated]

    def modules(self) -> Iterator["Module"]:
        yield self
        for one in self.below:
            yield from one.modules()

    def forward(self) -> None:
        """A layer's work."""


class UNetModel(Module):
    def __init__(self) -> None:
        super().__init__(Module())
        self.calls = 0
        self.weights = [Tensor(4, place=100), Tensor(4, place=200)]

    def parameters(self) -> list[Tensor]:
        return self.weights

    def forward(self, x: Any, timesteps: Any = None, context: Any = None, y: Any = None, **more: Any) -> str:  # type: ignore[override]
        self.calls += 1
        return "ordinary"


class Played:
    def play(self, tensors: Any) -> str:
        return "played"


class Stage:
    """The extension, loaded as A1111 loads it, with one UNet."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.networks = types.SimpleNamespace(loaded_networks=[])
        self.opts = types.SimpleNamespace(faster_images=True, lora_functional=False, upcast_attn=False)
        self.free, self.recorded, self.capability = 20 << 30, 0, (9, 0)
        cudnn = types.SimpleNamespace(benchmark=False, deterministic=False)
        cuda = types.SimpleNamespace(
            get_device_capability=lambda device: self.capability, mem_get_info=lambda: (self.free, 0),
            memory_reserved=lambda: 0, memory_allocated=lambda: 0, graph_pool_handle=lambda: "pool",
        )  # fmt: skip
        torch = types.SimpleNamespace(
            Tensor=Tensor, nn=types.SimpleNamespace(Module=Module), cuda=cuda, is_grad_enabled=lambda: False,
            is_tensor=lambda one: isinstance(one, Tensor), is_autocast_enabled=lambda: True,
            backends=types.SimpleNamespace(cudnn=cudnn), device=str,
        )  # fmt: skip
        self.device = types.SimpleNamespace(type="cuda")
        devices = types.SimpleNamespace(device=self.device, unet_needs_upcast=False, dtype_unet="float16")
        self.hijack = types.SimpleNamespace(circular_enabled=False)
        self.shared = types.SimpleNamespace(opts=self.opts, loaded_hypernetworks=[])
        modules = types.SimpleNamespace(
            devices=devices, shared=self.shared, sd_unet=types.SimpleNamespace(current_unet=None),
            script_callbacks=types.SimpleNamespace(on_ui_settings=lambda work: None),
            scripts=types.SimpleNamespace(Script=object, AlwaysVisible=object()),
        )  # fmt: skip
        named = {"torch": torch, "modules": modules, "networks": self.networks}
        named["modules.sd_hijack"] = types.SimpleNamespace(model_hijack=self.hijack)
        for name, module in named.items():
            monkeypatch.setitem(sys.modules, name, module)
        spec = importlib.util.spec_from_file_location("faster_images_script", SCRIPT)
        assert spec and spec.loader
        self.script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.script)
        self.unet = UNetModel()
        model = types.SimpleNamespace(diffusion_model=self.unet)
        self.p = types.SimpleNamespace(sd_model=types.SimpleNamespace(model=model, lowvram=False))
        self.error: Exception | None = None

    def record(self, *about: Any) -> Played:
        if self.error:
            raise self.error
        self.recorded += 1
        return Played()

    def sample(self, steps: int = 3, **more: Any) -> list[str]:
        """What the steps of one image's sampling were."""
        self.script.FasterImages().process_before_every_sampling(self.p)
        forward: Any = self.unet.forward
        if isinstance(forward, self.script.FasterUNet):
            forward.record = self.record
        said = [self.step(**more) for _ in range(steps)]
        self.script.FasterImages().post_sample(self.p, None)
        return said

    def step(self, size: int = 64, **more: Any) -> str:
        said: str = self.unet.forward(Tensor(2, 4, size, size), timesteps=Tensor(2), context=Tensor(2, 77, 768), **more)
        return said


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage(monkeypatch)
    made.sample(1)  # the first call of all puts the networks, of which there are none, into the weights
    return made


def test_a_shape_that_comes_again_is_recorded_and_played(stage: Stage) -> None:
    assert stage.sample(4) == ["ordinary", "played", "played", "played"]
    assert stage.sample(2) == ["played", "played"]
    assert stage.sample(2, size=96) == ["ordinary", "played"]
    assert stage.recorded == 2


def test_out_of_sampling_it_is_the_unet_as_it_was(stage: Stage) -> None:
    stage.sample(4)
    assert stage.step() == "ordinary"


@pytest.mark.parametrize(
    "what",
    ["hook", "layer replaced", "low VRAM", "hypernetwork", "old card", "processor", "switched off", "LoRAs in layers"],
)
def test_what_it_was_not_proven_for_goes_the_ordinary_way(stage: Stage, what: str) -> None:
    stage.sample(4)
    layer = stage.unet.below[0]
    if what == "hook":
        layer._forward_pre_hooks[1] = print
    elif what == "layer replaced":
        layer.forward = lambda: None  # type: ignore[method-assign]
    elif what == "low VRAM":
        stage.p.sd_model.lowvram = True
    elif what == "hypernetwork":
        stage.shared.loaded_hypernetworks.append("one")
    elif what == "old card":
        stage.capability = (7, 5)
    elif what == "processor":
        stage.device.type = "cpu"
    elif what == "switched off":
        stage.opts.faster_images = False
    else:
        stage.opts.lora_functional = True
        stage.networks.loaded_networks.append(network())
    assert stage.sample(3) == ["ordinary"] * 3


def test_a_layer_that_was_given_back_its_own_work_is_no_hindrance(stage: Stage) -> None:
    layer = stage.unet.below[0]
    layer.forward = layer.forward  # type: ignore[method-assign]
    assert stage.sample(3)[-1] == "played"


def network(weight: float = 1.0) -> types.SimpleNamespace:
    return types.SimpleNamespace(name="style", te_multiplier=1.0, unet_multiplier=weight, dyn_dim=None)


def test_a_lora_comes_into_the_weights_and_goes_by_an_ordinary_call_first(stage: Stage) -> None:
    stage.sample(4)
    stage.networks.loaded_networks.append(network())
    assert stage.sample(3) == ["ordinary", "played", "played"]
    stage.networks.loaded_networks[:] = [network(0.5)]
    assert stage.sample(3) == ["ordinary", "played", "played"]
    stage.networks.loaded_networks.clear()
    assert stage.sample(3) == ["ordinary", "played", "played"]
    assert stage.recorded == 1  # the weights lie where they lay


def test_a_lora_that_gives_a_layer_a_new_weight_makes_the_recordings_anew(stage: Stage) -> None:
    stage.sample(4)
    stage.networks.loaded_networks.append(network())
    stage.sample(1)
    stage.unet.weights.append(Tensor(4, place=300))
    assert stage.sample(3)[-1] == "played"
    assert stage.recorded == 2


def test_weights_that_lie_elsewhere_are_never_played_with(stage: Stage) -> None:
    stage.sample(4)
    stage.unet.weights[1].place = 999  # the model was on the processor meanwhile
    assert stage.sample(3) == ["ordinary", "played", "played"]
    stage.sample(2)
    stage.script.FasterImages().process_before_every_sampling(stage.p)
    assert stage.step() == "played"
    stage.unet.weights[0].place = 998  # while it samples
    assert stage.step() == "ordinary"


def test_another_way_of_working_is_another_recording(stage: Stage) -> None:
    stage.sample(4)
    stage.hijack.circular_enabled = True  # tiling: the convolutions' padding
    assert stage.sample(3) == ["ordinary", "played", "played"]
    assert stage.recorded == 2


def test_who_stands_in_the_place_of_the_unet_is_left_there(stage: Stage) -> None:
    stage.sample(4)
    own: Any = stage.unet.forward

    def around(*about: Any, **more: Any) -> Any:
        return own(*about, **more)

    stage.unet.__dict__["forward"] = around
    assert stage.sample(3) == ["ordinary"] * 3


@pytest.mark.parametrize("more", [{"control": Tensor(1)}, {"y": "no tensor"}])
def test_what_comes_with_other_inputs_goes_the_ordinary_way(stage: Stage, more: dict[str, Any]) -> None:
    stage.sample(4)
    assert stage.sample(3, **more) == ["ordinary"] * 3


def test_what_cannot_be_recorded_switches_it_off_with_one_line(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.error = RuntimeError("CUDA error: operation not permitted when stream is capturing")
    assert stage.sample(4) == ["ordinary"] * 4
    stage.error = None
    assert stage.sample(4) == ["ordinary"] * 4
    assert capsys.readouterr().out.count("Faster images: off until the next start") == 1


def test_with_too_little_memory_on_the_card_nothing_is_recorded(stage: Stage) -> None:
    stage.free = 2 << 30
    assert stage.sample(4) == ["ordinary"] * 4
