"""What a training step of each preset takes, from ``figures.tsv``; never imports torch.

``vixtui.memory.generate`` makes the file. A line is a preset or one execution of it, with a column
a step, in JSON that is parsed when it is asked for.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple, get_args, overload

from vixtui.memory.execution import Backend, Execution, StepPrecision
from vixtui.models.config import Recompute
from vixtui.presets import Preset, all_presets

PATH = Path(__file__).with_name("figures.tsv")
SCHEMA_VERSION = 5
BASIS_CLASSES = 10
BASIS_CHANNELS = 3
BATCHES = tuple(1 << power for power in range(11))
"""Micro-batches that memory is traced for."""
BUDGET_BATCHES = (1, 8, 128)
"""Those of them that smallest budgets are searched for."""
UNIT_BYTES = 1024
"""What memory is noted in, rounded up."""
_CLOSE = 0.0005

Line = Sequence[int]
"""What a quantity is a pass, and what it is a picture."""
Curve = Sequence[int]
"""Memory of any batch: batches, each with its memory in `UNIT_BYTES`; lines between them."""
Peaks = Sequence[Curve]
"""The most allocated at once: while there are tokens, and while there are pictures alone."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """A traced step for square RGB pictures and ten classes.

    Args:
        patch_size, tokens: of the traced model; no class token counted.
        parameters: number of weights.
        grey_parameters: the same for pictures of one channel.
        flops_per_image: floating-point operations of forward and backward.
        convolution_flops_per_image, attention_flops_per_image: those of `flops_per_image` that
            such kernels do.
        moved_line: bytes that operations of a pass read and write.
        update_moved_bytes: the same of the update that follows the last pass.
        function_bytes_per_image: those moved by exponentials, GELU, norms and the like.
        kernels, update_kernels: operations started, in a pass and in the update.
        peaks: of a batch that is not divided.
        part_peaks: the same of a micro-batch of several, between which gradients stay.
        extra: what smallest budgets, or on the CPU the heap's growth, are above peaks, at each of
            `BUDGET_BATCHES`, in `UNIT_BYTES`; nothing where no budget was searched for.
    """

    patch_size: int
    tokens: int
    parameters: int
    grey_parameters: int
    flops_per_image: int
    convolution_flops_per_image: int
    attention_flops_per_image: int
    moved_line: Line
    update_moved_bytes: int
    function_bytes_per_image: int
    kernels: int
    update_kernels: int
    peaks: Peaks
    part_peaks: Peaks
    extra: Sequence[int] = ()

    def token_bytes(self, batch: int, *, accumulate: bool = False) -> float:
        """Return the most that a pass of `batch` pictures allocates while there are tokens.

        Weights are included.
        """
        return _at((self.part_peaks if accumulate else self.peaks)[0], batch)

    def picture_bytes(self, batch: int, *, accumulate: bool = False) -> float:
        """Return the most that it allocates while there are pictures alone."""
        return _at((self.part_peaks if accumulate else self.peaks)[1], batch)

    def peak_bytes(self, batch: int, *, accumulate: bool = False) -> float:
        """Return the most that it allocates at all."""
        return max(
            at(batch, accumulate=accumulate) for at in (self.token_bytes, self.picture_bytes)
        )

    def extra_bytes(self, batch: int) -> float:
        """Return what the smallest budget for a pass is above that; at most in proportion."""
        if not self.extra:
            return 0.0
        last = BUDGET_BATCHES[-1]
        if batch > last:
            return UNIT_BYTES * self.extra[-1] * self.peak_bytes(batch) / self.peak_bytes(last)
        behind = bisect_left(BUDGET_BATCHES, batch)
        if BUDGET_BATCHES[behind] == batch:
            return float(UNIT_BYTES * self.extra[behind])
        low, high = BUDGET_BATCHES[behind - 1 : behind + 1]
        few, many = self.extra[behind - 1 : behind + 1]
        return UNIT_BYTES * (few + (many - few) * (batch - low) / (high - low))

    def moved_bytes(self, passes: int, images: int) -> int:
        """Return what a step of several passes over `images` pictures in all moves."""
        return self.moved_line[0] * passes + self.moved_line[1] * images + self.update_moved_bytes


def _at(curve: Curve, batch: int) -> float:
    """Return a curve's value in bytes; beyond its end, on its last line."""
    place = 2
    while place + 2 < len(curve) and curve[place] < batch:
        place += 2
    low, before, high, behind = curve[place - 2 : place + 2]
    return UNIT_BYTES * (before + (behind - before) * (batch - low) / (high - low))


def curve(sizes: Sequence[int]) -> Curve:
    """Return the curve of sizes in bytes at each of `BATCHES`, without points that others tell."""
    known = [(batch, -(-size // UNIT_BYTES)) for batch, size in zip(BATCHES, sizes, strict=True)]
    points = every = sorted((*known, *_bends(known[1:])))
    for point in every[1:-1]:
        fewer = [other for other in points if other != point]
        found = tuple(chain(*fewer))
        if all(
            abs(_at(found, batch) / UNIT_BYTES - size) <= _CLOSE * size for batch, size in every
        ):
            points = fewer
    return tuple(chain(*points))


def _bends(known: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield where another moment of a step begins to take most, if that is between two batches.

    Memory is the highest of several straight lines, one for each moment.
    """
    for (x_0, y_0), (x_1, y_1), (x_2, y_2), (x_3, y_3) in zip(
        known, known[1:], known[2:], known[3:], strict=False
    ):
        before, behind = (y_1 - y_0) / (x_1 - x_0), (y_3 - y_2) / (x_3 - x_2)
        if before < (y_2 - y_1) / (x_2 - x_1) < behind:
            batch = round((y_2 - y_1 + before * x_1 - behind * x_2) / (before - behind))
            if x_1 < batch < x_2:
                lines = y_1 + before * (batch - x_1), y_2 + behind * (batch - x_2)
                yield batch, ceil(max(lines))


Steps = Sequence[StepFigures]


class StepSize(NamedTuple):
    """The size of pictures of a traced step; `searched`: whether for smallest budgets, too."""

    patch_size: int
    tokens: int
    searched: bool


@dataclass(frozen=True, slots=True)
class PresetFigures:
    """All traced steps of a preset, in every execution of the same sizes.

    Args:
        options: those of its model that held then.
        largest_side: how far the figures reach, in pixels.
        sizes: of the steps, in their order.
        executions: the steps of each.
    """

    options: Mapping[str, Any]
    largest_side: int
    sizes: tuple[StepSize, ...]
    executions: Mapping[Execution, Steps]

    @staticmethod
    def traced(
        options: Mapping[str, Any], largest_side: int, executions: Mapping[Execution, Steps]
    ) -> PresetFigures:
        """Return the figures of traced steps.

        Raises:
            ValueError: when not all executions were traced in the same sizes.
        """
        sizes, *others = {
            tuple(StepSize(step.patch_size, step.tokens, bool(step.extra)) for step in steps)
            for steps in executions.values()
        }
        if others:
            raise ValueError("not all executions were traced in the same sizes")
        return PresetFigures(options, largest_side, sizes, executions)

    def steps(self, execution: Execution) -> Steps:
        """Return the steps computed in one way; for most presets, ``fast`` is ``none``.

        Raises:
            KeyError: when it was not traced.
        """
        if execution.recompute == "fast" and execution not in self.executions:
            execution = Execution(execution.backend, execution.precision, "none")
        return self.executions[execution]


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole file: made with which torch, from which model sources (SHA-256)."""

    torch: str
    sources: str
    presets: Mapping[str, PresetFigures]


class _Steps(Sequence[StepFigures]):
    """Steps of an execution, each parsed when first asked for."""

    def __init__(self, rows: Sequence[str]) -> None:
        self._rows = rows
        self._steps: dict[int, StepFigures] = {}

    @overload
    def __getitem__(self, place: int) -> StepFigures: ...

    @overload
    def __getitem__(self, place: slice) -> Steps: ...

    def __getitem__(self, place: int | slice) -> StepFigures | Steps:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        if place not in self._steps:
            self._steps[place] = read_step(json.loads(self._rows[place]))
        return self._steps[place]

    def __len__(self) -> int:
        return len(self._rows)


class _Executions(Mapping[Execution, Steps]):
    """The executions of a preset, each split into its steps when first asked for."""

    def __init__(self, lines: dict[str, str]) -> None:
        self._lines = lines
        self._steps: dict[Execution, Steps] = {}

    def __getitem__(self, execution: Execution) -> Steps:
        if execution not in self._steps:
            self._steps[execution] = _Steps(self._lines[execution_name(execution)].split("\t"))
        return self._steps[execution]

    def __contains__(self, execution: object) -> bool:
        return isinstance(execution, Execution) and execution_name(execution) in self._lines

    def __iter__(self) -> Iterator[Execution]:
        return map(execution_of, self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def execution_name(execution: Execution) -> str:
    """Return three words that `execution_of` reads back."""
    return f"{execution.backend} {execution.precision} {execution.recompute}"


def execution_of(name: str) -> Execution:
    """Return the execution of a name.

    Raises:
        KeyError: when it is none.
    """
    return _EXECUTIONS[name]


_EXECUTIONS = {
    execution_name(one): one
    for one in (
        Execution(backend, precision, recompute)
        for backend in get_args(Backend)
        for precision in get_args(StepPrecision)
        for recompute in get_args(Recompute)
    )
}


def read_step(row: Sequence[Any]) -> StepFigures:
    """Return a step from its fields in order, as JSON has them.

    Raises:
        TypeError: for too few or too many.
    """
    return StepFigures(*row)


@cache
def read_figures(path: Path = PATH) -> Figures:
    """Return the shipped figures.

    Raises:
        ValueError: when the file is of another schema.
    """
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    head = json.loads(first)
    if head["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{path.name} has another schema: python -m vixtui.memory.generate --write"
        )
    about: dict[str, dict[str, Any]] = {}
    executions: dict[str, dict[str, str]] = {}
    for line in lines:
        name, execution, content = line.split("\t", 2)
        if execution:
            executions[name][execution] = content
        else:
            about[name] = json.loads(content)
            executions.setdefault(name, {})
    presets = {
        name: PresetFigures(
            options=entry["options"],
            largest_side=entry["largest_side"],
            sizes=tuple(StepSize(*size) for size in entry["sizes"]),
            executions=_Executions(executions[name]),
        )
        for name, entry in about.items()
    }
    return Figures(head["torch"], head["sources"], presets)


def encode_head(torch: str, sources: str) -> str:
    """Return the first line of the file."""
    return json.dumps({"schema_version": SCHEMA_VERSION, "torch": torch, "sources": sources}) + "\n"


def encode_preset(name: str, figures: PresetFigures) -> str:
    """Return the lines of a preset."""
    about = {
        "options": dict(figures.options),
        "largest_side": figures.largest_side,
        "sizes": figures.sizes,
    }
    lines = [("", json.dumps(about))]
    lines += [
        (execution_name(execution), _rows(steps)) for execution, steps in figures.executions.items()
    ]
    return "".join(f"{name}\t{execution}\t{content}\n" for execution, content in lines)


def _rows(steps: Steps) -> str:
    return "\t".join(json.dumps(astuple(step), separators=(",", ":")) for step in steps)


def model_options(preset: Preset) -> dict[str, Any]:
    """Return everything in a preset that its figures depend on."""
    return {**preset.options, "tokens_per_side": preset.tokens_per_side}


def stale_presets(figures: Figures, sources: str) -> list[str]:
    """Return the presets whose options, or the models' sources, have changed since the trace."""
    return [
        name
        for name, preset in all_presets().items()
        if figures.sources != sources
        or name not in figures.presets
        or figures.presets[name].options != model_options(preset)
    ]
