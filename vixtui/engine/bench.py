"""How fast this machine's processor is, by kind of work, measured within a few seconds.

Products, convolutions and attention are timed by themselves. What moving memory and starting
operations take is told from real training steps: what remains of them, less those three. Timed by
itself, memory would seem several times as fast, as it then lies in the processor's caches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf

import torch
import torch.nn.functional as F

from vixtui.engine.calibrate import native_bf16
from vixtui.engine.inputs import measure
from vixtui.engine.learner import Learner
from vixtui.hardware.calibration import Rates
from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.execution import Execution, StepPrecision
from vixtui.memory.figures import read_figures
from vixtui.models.config import ModelConfig
from vixtui.presets import preset
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig

_SIDE, _CLASSES = 32, 10
# Preset and batch: the larger ones mostly compute and move, the last mostly starts operations.
_STEPS = (
    ("vit:tiny", 64), ("hybrid-vin:tiny", 16), ("vip:tiny", 16), ("mixer:tiny", 16),
    ("vip:tiny", 4),
)  # fmt: skip
# Works of a kind are short: each is done so often in a turn.
_TIMES = 8
_LEAST_TURNS = 2
# Exponentials, GELU and norms take this much of plain traffic's time a byte: the least worst error
# over steps of the tiny and small presets on one core of an AMD EPYC, 2026-11-26.
_FUNCTION_FACTOR = 2.0
# What real steps tell of memory, for each thread, and of starting operations is not to fall below
# these: no core moves 100 GB/s.
_LEAST_SECONDS_A_BYTE, _LEAST_SECONDS_A_KERNEL = 1e-11, 1e-7

Work = Callable[[], object]


def measure_rates(cores: int, seconds: float) -> list[Rates]:
    """Return the speed with one and with all cores, in float32 and, where native, bfloat16.

    Args:
        cores: that it may use.
        seconds: about how long it may take; less than a second is hardly exact.
    """
    before = torch.get_num_threads()
    precisions = {precision for _, precision in ways_to_measure(cores)}
    kinds = {precision: _kinds(precision) for precision in precisions}
    steps = {precision: _steps(precision) for precision in precisions}
    works = [
        (threads, work)
        for threads, precision in ways_to_measure(cores)
        for _, work in kinds[precision] + steps[precision]
    ]
    try:
        least = iter(least_seconds(works, seconds))
    finally:
        torch.set_num_threads(before)
    return [
        _rates(
            threads,
            precision,
            [(flops, next(least)) for flops, _ in kinds[precision]],
            [(cost, next(least)) for cost, _ in steps[precision]],
        )
        for threads, precision in ways_to_measure(cores)
    ]


def ways_to_measure(cores: int) -> list[tuple[int, StepPrecision]]:
    """Return numbers of threads, each in every precision that is native."""
    precisions: list[StepPrecision] = ["fp32"]
    if native_bf16(torch.device("cpu")):
        precisions.append("bf16")
    return [(threads, precision) for threads in sorted({1, cores}) for precision in precisions]


def least_seconds(works: Sequence[tuple[int, Work]], seconds: float) -> list[float]:
    """Return the least time that each work took of all its turns but the first.

    They take turns, so that a moment in which the machine does something else slows one turn of
    everything, not all turns of one thing. With one thread it is processor time, in which other
    programs do not count.

    Args:
        works: what is timed, and the threads that it uses.
        seconds: after which no other round begins, but for the third.
    """
    least = [inf] * len(works)
    started, turn = time.perf_counter(), 0
    while turn <= _LEAST_TURNS or time.perf_counter() - started < seconds:
        for index, (threads, work) in enumerate(works):
            clock = time.perf_counter
            if threads == 1 and sys.platform != "win32":  # there, it moves in steps of 16 ms
                clock = time.thread_time
            torch.set_num_threads(threads)
            begun = clock()
            work()
            taken = max(clock() - begun, 1e-9)
            if turn > 0:
                least[index] = min(least[index], taken)
        turn += 1
    return least


def _kinds(precision: StepPrecision) -> list[tuple[float, Work]]:
    """Return what is timed by itself, with its operations: two products, then one of each kind."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    # In bfloat16, too, attention is computed in float32: see `models.mixers.heads.attend`.
    kinds = [*_product_works(dtype), _convolution_work(dtype), _attention_work()]
    return [(flops * _TIMES, partial(_repeat, work)) for flops, work in kinds]


def _repeat(work: Work) -> None:
    for _ in range(_TIMES):
        work()


def _steps(precision: StepPrecision) -> list[tuple[StepCost, Work]]:
    return [
        (
            cost_of(name, _SIDE, batch, precision=precision),
            TrainingStep(name, _SIDE, batch, precision=precision),
        )
        for name, batch in _STEPS
    ]


def _rates(
    threads: int,
    precision: StepPrecision,
    kinds: list[tuple[float, float]],
    steps: list[tuple[StepCost, float]],
) -> Rates:
    """Return what one way to compute gets done, from operations and seconds of its works."""
    *products, (convolution, convolution_seconds), (attention, attention_seconds) = kinds
    rates = Rates(
        threads=threads,
        precision=precision,
        product_flops=sum(flops for flops, _ in products) / sum(taken for _, taken in products),
        convolution_flops=convolution / convolution_seconds,
        attention_flops=attention / attention_seconds,
        moved_bytes=inf,
        function_bytes=inf,
        kernel_seconds=0.0,
    )
    byte, kernel = _remainder(steps, rates)
    return replace(
        rates,
        moved_bytes=1 / byte,
        function_bytes=1 / (_FUNCTION_FACTOR * byte),
        kernel_seconds=kernel,
    )


def _product_works(dtype: torch.dtype) -> list[tuple[float, Work]]:
    """A linear map as in a block: forward, and the gradient of its weights."""
    rows, width, hidden = 2048, 128, 256
    x, weight = torch.randn(rows, width, dtype=dtype), torch.randn(width, hidden, dtype=dtype)
    gradient = torch.randn(rows, hidden, dtype=dtype)
    flops = 2.0 * rows * width * hidden
    return [(flops, lambda: x @ weight), (flops, lambda: x.mT @ gradient)]


def _convolution_work(dtype: torch.dtype) -> tuple[float, Work]:
    """A layer of a convolutional stem: forward and both gradients."""
    batch, channels, side, taps = 8, 64, 16, 3
    x = torch.randn(batch, channels, side, side, dtype=dtype, requires_grad=True)
    weight = torch.randn(channels, channels, taps, taps, dtype=dtype, requires_grad=True)
    gradient = torch.randn(batch, channels, side, side, dtype=dtype)

    def work() -> None:
        torch.autograd.grad(F.conv2d(x, weight, padding=1), (x, weight), gradient)

    return 6.0 * batch * side**2 * channels**2 * taps**2, work


def _attention_work() -> tuple[float, Work]:
    """Fused attention, forward and backward: two products and five."""
    shape = batch, heads, tokens, width = 4, 4, 256, 32
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    gradient = torch.randn(shape)

    def work() -> None:
        torch.autograd.grad(F.scaled_dot_product_attention(q, k, v), (q, k, v), gradient)

    return 14.0 * batch * heads * tokens**2 * width, work


def _remainder(steps: list[tuple[StepCost, float]], products: Rates) -> tuple[float, float]:
    """Return seconds a plainly moved byte and an operation, by least squares of relative errors.

    Args:
        steps: cost and measured seconds of each.
        products: rates by which nothing but products, convolutions and attention takes time.
    """
    aa = ab = bb = ay = by = 0.0
    for cost, seconds in steps:
        plain = cost.moved_bytes + (_FUNCTION_FACTOR - 1) * cost.function_bytes
        a, b = plain / seconds, cost.kernels / seconds
        y = 1 - products.seconds(cost) / seconds
        aa, ab, bb, ay, by = aa + a * a, ab + a * b, bb + b * b, ay + a * y, by + b * y
    determinant = aa * bb - ab * ab
    byte = (ay * bb - by * ab) / determinant if determinant > 0 else ay / aa
    kernel = (by - byte * ab) / bb
    if kernel < _LEAST_SECONDS_A_KERNEL:
        kernel = _LEAST_SECONDS_A_KERNEL
        byte = (ay - kernel * ab) / aa
    least = _LEAST_SECONDS_A_BYTE / products.threads
    if byte < least:
        byte = least
        kernel = max((by - byte * ab) / bb, _LEAST_SECONDS_A_KERNEL)
    return byte, kernel


def cost_of(name: str, side: int, batch: int, *, precision: StepPrecision = "fp32") -> StepCost:
    """Return the traced cost of a step of a preset on square colour pictures."""
    return step_cost(
        read_figures().presets[name],
        _model(name, side),
        Execution("cpu", precision),
        micro_batch=batch,
        batch_size=batch,
    )


class TrainingStep:
    """An update of weights as training does it, on random colour pictures; called to do one.

    Args:
        name: of the preset.
        side: of the pictures, in pixels.
        batch: how many.
        precision: of products and convolutions.
    """

    def __init__(
        self, name: str, side: int, batch: int, *, precision: StepPrecision = "fp32"
    ) -> None:
        images = torch.randint(256, (batch, 3, side, side), dtype=torch.uint8)
        self._batch = images, torch.randint(_CLASSES, (batch,))
        config = _run_config(name, side, batch)
        self.learner = Learner(config, measure(images), torch.device("cpu"))
        self.learner.precision = precision

    def __call__(self) -> None:
        """Change the weights once."""
        images, labels = self._batch
        self.learner.combine(self.learner.accumulate(images, labels, step=0))
        self.learner.apply(step=0, lr=1e-4)


def _run_config(name: str, side: int, batch: int) -> RunConfig:
    data = DataConfig(
        source="random",
        classes=tuple(map(str, range(_CLASSES))),
        image_height=side,
        image_width=side,
        in_channels=3,
        fingerprint="",
        train=batch,
        validation=0,
        test=0,
    )
    return RunConfig(
        id="bench",
        created="",
        vixtui="",
        preset=name,
        seed=0,
        model=_model(name, side),
        data=data,
        recipe=Recipe(epochs=1, batch_size=batch),
        plan=Plan(
            device="cpu", micro_batch=batch, budget_bytes=0, predicted_peak_bytes=0, basis="none"
        ),
    )


def _model(name: str, side: int) -> ModelConfig:
    return preset(name).model_config(
        image_height=side, image_width=side, in_channels=3, num_classes=_CLASSES
    )
