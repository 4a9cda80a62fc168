"""What training a preset needs in every way to compute it; nothing of it depends on a budget."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.engine import CPU_BASIS, GPU_BASIS, cpu_bytes, gpu_bytes
from vixtui.memory.execution import Execution, StepPrecision
from vixtui.memory.figures import PresetFigures, read_figures
from vixtui.models.config import ModelConfig, Recompute
from vixtui.planning.tuning import tuned
from vixtui.planning.types import Task
from vixtui.presets import preset
from vixtui.runs.config import Precision

# All presets for several tasks: moving the budget to and fro computes nothing twice.
_KEPT = 1024
TRIED: Mapping[Precision, tuple[StepPrecision, ...]] = {
    "auto": ("fp32", "bf16"),
    "fp32": ("fp32",),
    "bf16": ("bf16",),
}
"""With ``auto`` the engine tries both and takes the faster, so both have to fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What one way to compute a weight update needs.

    Args:
        micro_batch: pictures a forward pass.
        batch_size: pictures a weight update.
        precision: of the matrix products.
        recompute: what is computed twice.
        costs: of one optimizer step, in each precision that the engine will try.
        peak_bytes: predicted peak memory of the whole engine in any of them.
        basis: how that was predicted.
    """

    micro_batch: int
    batch_size: int
    precision: Precision
    recompute: Recompute
    costs: tuple[StepCost, ...]
    peak_bytes: int
    basis: str

    @property
    def passes(self) -> int:
        """Forward passes a weight update."""
        return -(-self.batch_size // self.micro_batch)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return self.costs[0].parameters


class PresetNeeds:
    """The needs of one model, each worked out when it is first asked for.

    Args:
        name: of the preset that the model comes from.
        model: what is trained.
        images: training pictures; on the CPU their paths and facts are in memory.
        batch_size: pictures a weight update.
        on_cpu: whether it is trained on the CPU, else on a GPU.
        figures: of the model itself; without them, the preset's are taken.
        left_out: which of the model's differences from the preset the figures do not know.

    Raises:
        ValueError: when there are no figures for the model.
    """

    def __init__(
        self,
        name: str,
        model: ModelConfig,
        *,
        images: int,
        batch_size: int,
        on_cpu: bool,
        figures: PresetFigures | None = None,
        left_out: tuple[str, ...] = (),
    ) -> None:
        figures = figures or preset_figures(name)
        self.model, self.batch_size, self.left_out = model, batch_size, left_out
        self._figures, self._images, self._on_cpu = figures, images, on_cpu
        self._image_bytes = model.in_channels * model.image_height * model.image_width
        self._costs: dict[tuple[StepPrecision, Recompute, int], StepCost] = {}
        self._needs: dict[tuple[Precision, Recompute, int], Need] = {}
        *self._parts, _ = micro_batches(batch_size)

    def at(self, micro_batch: int, precision: Precision, recompute: Recompute) -> Need:
        """Return what a way to compute an update needs.

        Raises:
            ValueError: when the preset cannot take such pictures.
        """
        key = precision, recompute, micro_batch
        found = self._needs.get(key)
        if found is None:
            found = self._needs[key] = self._work_out(micro_batch, precision, recompute)
        return found

    def whole(self, precision: Precision, recompute: Recompute) -> Need:
        """Return what the whole batch in one pass needs: the fastest, if it fits."""
        return self.at(self.batch_size, precision, recompute)

    def largest_fit(
        self, allowed_bytes: float, precision: Precision, recompute: Recompute
    ) -> Need | None:
        """Return the need with the fewest passes that is allowed, or None.

        Of the micro-batches with as many passes, that is the smallest: no other is faster.
        """
        whole = self.whole(precision, recompute)
        if whole.peak_bytes <= allowed_bytes:
            return whole
        # Where even one picture is too many, no part need be worked out.
        if self.at(1, precision, recompute).peak_bytes > allowed_bytes:
            return None
        # Fewer pictures need less, but for the whole batch, which keeps no gradients between
        # passes and so may need less than half of it.
        fitting = bisect_right(
            self._parts,
            allowed_bytes,
            key=lambda micro_batch: self.at(micro_batch, precision, recompute).peak_bytes,
        )
        return self.at(self._parts[fitting - 1], precision, recompute)

    def smallest(self, precisions: Iterable[Precision], levels: Sequence[Recompute]) -> Need:
        """Return the least that any way needs."""
        ends = {1, self.batch_size}
        ways = [
            self.at(micro_batch, precision, recompute)
            for precision in precisions
            for recompute in levels
            for micro_batch in ends
        ]
        return min(ways, key=lambda need: need.peak_bytes)

    def _work_out(self, micro_batch: int, precision: Precision, recompute: Recompute) -> Need:
        costs = tuple(self._cost(micro_batch, kind, recompute) for kind in TRIED[precision])
        return Need(
            micro_batch=micro_batch,
            batch_size=self.batch_size,
            precision=precision,
            recompute=recompute,
            costs=costs,
            peak_bytes=max(map(self._engine_bytes, costs, TRIED[precision])),
            basis=CPU_BASIS if self._on_cpu else GPU_BASIS,
        )

    def _engine_bytes(self, cost: StepCost, precision: StepPrecision) -> int:
        if self._on_cpu:
            return cpu_bytes(
                cost,
                precision,
                images=self._images,
                batch_size=self.batch_size,
                image_bytes=self._image_bytes,
            )
        return gpu_bytes(cost)

    def _cost(self, micro_batch: int, precision: StepPrecision, recompute: Recompute) -> StepCost:
        key = precision, recompute, micro_batch
        if key not in self._costs:
            self._costs[key] = step_cost(
                self._figures,
                self.model,
                Execution("cpu" if self._on_cpu else "cuda", precision, recompute),
                micro_batch=micro_batch,
                batch_size=self.batch_size,
            )
        return self._costs[key]


@lru_cache(maxsize=_KEPT)
def preset_needs(
    name: str, task: Task, batch_size: int, changes: tuple[str, ...], *, on_cpu: bool
) -> PresetNeeds:
    """Return the needs of a preset.

    Args:
        name: ``variant:size``.
        task: what is to be learned.
        batch_size: pictures a weight update.
        changes: to the preset's model, see `vixtui.planning.tuning`.
        on_cpu: whether it is trained on the CPU.

    Raises:
        UsageError: for changes that cannot be.
        ValueError: when the preset cannot take such pictures.
    """
    return PresetNeeds(
        name,
        changed_model(name, task, changes),
        images=task.images,
        batch_size=batch_size,
        on_cpu=on_cpu,
        left_out=changes,
    )


def preset_figures(name: str) -> PresetFigures:
    """Return the shipped figures of a preset.

    Raises:
        ValueError: when there are none.
    """
    figures = read_figures().presets.get(name)
    if figures is None:
        raise ValueError("no memory figures for it")
    return figures


def changed_model(name: str, task: Task, changes: tuple[str, ...]) -> ModelConfig:
    """Return a preset's model for a task, with changes; raises as `preset_needs`."""
    model = preset(name).model_config(
        image_height=task.image_height,
        image_width=task.image_width,
        in_channels=task.in_channels,
        num_classes=task.num_classes,
    )
    return tuned(model, changes)


def micro_batches(batch_size: int) -> list[int]:
    """Return the smallest micro-batch for each number of passes over a batch, rising."""
    return sorted({-(-batch_size // passes) for passes in range(1, batch_size + 1)})
