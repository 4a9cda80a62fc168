"""One training step on fake tensors: every allocation is seen, none is made.

A step is forward, cross entropy, backward, gradient clipping, AdamW and the averaged weights, then
a forward pass of evaluation, as the engine does it, in single precision. Storages are counted when
an operation returns them and when the last reference to them goes; of what kernels allocate inside
themselves only the largest is known.

``python -m vixtui.memory.trace`` tells whether ``figures.json`` is up to date, with ``--write`` it
makes it anew.
"""

from __future__ import annotations

import gc
import hashlib
import sys
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from vixtui.errors import ExitCode
from vixtui.hardware.host import usable_cores
from vixtui.memory import cpu_scratch, operations
from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    PATH,
    Figures,
    PresetFigures,
    StepFigures,
    encode_figures,
    model_options,
    read_figures,
    stale_presets,
)
from vixtui.memory.grid import LARGEST_SIDE, traced_sizes
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import build
from vixtui.presets import Preset, all_presets, preset

# Two batches give every allocation as a + b · batch; both are even so that no operation
# takes a path of its own for a single picture.
_BATCHES = (4, 8)
# The engine evaluates this many micro-batches at once.
_EVALUATION_FACTOR = 4
_ENVELOPE_BATCHES = tuple(2**power for power in range(13))


@dataclass(slots=True)
class Work:
    """What operations do: see `vixtui.memory.operations.kind`.

    Args:
        flops: floating-point operations of products, convolutions and transforms.
        convolution_flops, attention_flops: those of them that such kernels do.
        moved_bytes: read and written.
        function_bytes: those of them that functions move.
        kernels: operations started.
    """

    flops: int = 0
    convolution_flops: int = 0
    attention_flops: int = 0
    moved_bytes: int = 0
    function_bytes: int = 0
    kernels: int = 0


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one step does. `running_bytes` is what is allocated after each event, in order."""

    batch: int
    parameters: int
    running_bytes: tuple[int, ...]
    work: Work

    @property
    def peak_bytes(self) -> int:
        """The most that is allocated at once, weights and optimizer state included."""
        return max(self.running_bytes)


class _Tracker(TorchDispatchMode):
    """Keeps the books of storages, floating-point operations and memory traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.running_bytes = [0]
        self.work = Work()
        self._live: dict[int, tuple[int, weakref.ref[Any]]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.namespace != "aten":
            return result
        found = cpu_scratch.scratch(func, args, result)
        if scratch := sum(found.before) + sum(found.after):
            live = self.running_bytes[-1]
            self.running_bytes += [live + scratch, live]
        if func.is_view:
            return result
        outputs = list(_tensors(result))
        for tensor in outputs:
            self._see(tensor)
        self._count(func, args, kwargs or {}, result, outputs)
        return result

    def _count(
        self, func: Any, args: tuple[Any, ...], kwargs: Any, result: Any, outputs: list[Tensor]
    ) -> None:
        work, kind = self.work, operations.kind(func, args)
        touched = (*outputs, *(tensor for value in args for tensor in _tensors(value)))
        moved_bytes = sum(tensor.numel() * tensor.element_size() for tensor in touched)
        flops = operations.flops(func, args, kwargs, result)
        work.flops += flops
        work.moved_bytes += moved_bytes
        # A foreach operation on the CPU is a loop over its list.
        work.kernels += len(args[0]) if args and isinstance(args[0], (list, tuple)) else 1
        if kind == "convolution":
            work.convolution_flops += flops
        elif kind == "attention":
            work.attention_flops += flops
        elif kind == "function":
            work.function_bytes += moved_bytes

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._live and size:
            forget = weakref.ref(storage, lambda _, key=key: self._forget(key))  # type: ignore[misc]
            self._live[key] = size, forget
            self.running_bytes.append(self.running_bytes[-1] + size)

    def _forget(self, key: int) -> None:
        size, _ = self._live.pop(key)
        self.running_bytes.append(self.running_bytes[-1] - size)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _tensors(entry)


def trace_step(
    make_model: Callable[[], nn.Module], *, batch: int, channels: int, height: int, width: int
) -> StepTrace:
    """Trace the second training step of a model, the first to have optimizer state, and evaluation.

    Args:
        make_model: returns the model; called on the meta device, so that it costs no memory.
        batch: pictures a step.
        channels, height, width: shape of a picture, sizes in pixels.
    """
    with torch.device("meta"):
        model = make_model()
    with FakeTensorMode(), _Tracker() as tracker:
        _make_fake(model)
        model.train()
        parameters: list[Tensor] = list(model.parameters())
        averages = [parameter.detach().clone() for parameter in parameters]
        optimizer = torch.optim.AdamW(parameters, fused=True)
        images = torch.empty(batch, channels, height, width)
        labels = torch.zeros(batch, dtype=torch.long)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        tracker.work = Work()
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(averages, parameters, 0.01)
        work = replace(tracker.work)
        with torch.no_grad():
            model.eval()(torch.empty(_EVALUATION_FACTOR * batch, channels, height, width))
    return StepTrace(
        batch=batch,
        parameters=sum(parameter.numel() for parameter in parameters),
        running_bytes=tuple(tracker.running_bytes),
        work=work,
    )


def _make_fake(model: nn.Module) -> None:
    """Give a model on the meta device fake weights on the CPU."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape)))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def trace_config(config: ModelConfig, batch: int) -> StepTrace:
    """Trace a step of a model of this program."""
    return trace_step(
        lambda: build(config),
        batch=batch,
        channels=config.in_channels,
        height=config.image_height,
        width=config.image_width,
    )


def step_figures(config: ModelConfig) -> StepFigures:
    """Return what a step of `config` needs for any batch, from traces of two batches.

    After each event the allocated bytes are a + b · batch; the peak is the upper envelope of
    these lines, of which few are ever on top.
    """
    small, large = (trace_config(config, batch) for batch in _BATCHES)
    if len(small.running_bytes) != len(large.running_bytes):
        raise RuntimeError("the order of operations depends on the batch")
    lines = {
        _line(small.batch, low, large.batch, high)
        for low, high in zip(small.running_bytes, large.running_bytes, strict=True)
    }
    on_top = {max(lines, key=lambda line: line[0] + line[1] * batch) for batch in _ENVELOPE_BATCHES}
    most = asdict(large.work)
    lines_of = {
        name: _line(small.batch, least, large.batch, most[name])
        for name, least in asdict(small.work).items()
    }
    return StepFigures(
        patch_size=config.patch_size,
        tokens=config.grid[0] * config.grid[1],
        parameters=small.parameters,
        grey_parameters=count_parameters(replace(config, in_channels=1)),
        peak_lines=tuple(sorted(on_top, key=lambda line: line[1])),
        flops_per_image=lines_of["flops"][1],
        convolution_flops_per_image=lines_of["convolution_flops"][1],
        attention_flops_per_image=lines_of["attention_flops"][1],
        moved_line=lines_of["moved_bytes"],
        function_bytes_per_image=lines_of["function_bytes"][1],
        kernels=small.work.kernels,
    )


def count_parameters(config: ModelConfig) -> int:
    """Return the number of weights of a model, without making them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())


def _line(x_0: int, y_0: int, x_1: int, y_1: int) -> tuple[int, int]:
    """Return (intercept, slope) through two points, rounded up to whole numbers."""
    slope = -(-(y_1 - y_0) // (x_1 - x_0))
    return y_0 - slope * x_0, slope


def preset_figures(traced: Preset) -> PresetFigures:
    """Trace a preset over its grid of patch sizes and token counts."""
    steps = [
        step_figures(
            traced.model_config(
                image_height=side,
                image_width=side,
                in_channels=BASIS_CHANNELS,
                num_classes=BASIS_CLASSES,
            )
        )
        for side in traced_sizes(traced)
    ]
    return PresetFigures(
        options=model_options(traced), largest_side=LARGEST_SIDE, steps=tuple(steps)
    )


def _named_figures(name: str) -> PresetFigures:
    # Without collection of garbage, which after every few operations takes as long as the tracing.
    figures = preset_figures(preset(name))
    gc.collect()
    return figures


def sources_digest() -> str:
    """Return the SHA-256 of everything in ``vixtui/models`` that a trace depends on."""
    import vixtui.models

    digest = hashlib.sha256()
    for path in sorted(Path(vixtui.models.__path__[0]).rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def main(arguments: list[str]) -> int:
    """Check ``figures.json``, or make it anew with ``--write``; return the exit code."""
    if arguments not in ([], ["--write"]):
        print("usage: python -m vixtui.memory.trace [--write]", file=sys.stderr)
        return ExitCode.USAGE
    if not arguments:
        stale = stale_presets(read_figures(), sources_digest())
        print(f"traced from other sources: {', '.join(stale)}" if stale else "up to date")
        return ExitCode.BUG if stale else ExitCode.OK
    names, presets = list(all_presets()), {}
    with ProcessPoolExecutor(usable_cores(), initializer=gc.disable) as pool:
        for name, traced in zip(names, pool.map(_named_figures, names), strict=True):
            presets[name] = traced
            print(f"{len(presets)}/{len(names)} {name}", flush=True)
    figures = Figures(torch=torch.__version__, sources=sources_digest(), presets=presets)
    PATH.write_bytes(encode_figures(figures))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
