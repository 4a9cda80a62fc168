"""``state.safetensors``: everything an exact resume needs, in one file, without pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from vixtui.engine.learner import Learner
from vixtui.errors import WeightsError
from vixtui.files import write_atomically
from vixtui.models.config import Recompute
from vixtui.runs.config import Precision
from vixtui.runs.weights import TensorEntry, read_header

_KEY = "vixtui-state"
_MAX_THREADS = 4096
_MAX_COUNT = 2**53


@dataclass(slots=True)
class TrainState:
    """Where a run stands, besides its tensors.

    Args:
        step: weight updates done.
        elapsed_seconds: training time used so far, pauses left out.
        threads, precision: measured once, kept for ever: both change the last bits.
        micro_batch, recompute: what fitted memory so far; 0 and "" before anything was tried.
        best_top1, best_epoch: of the kept weights; validation.
        highest_top1: highest validation score, by which later weights are kept or not.
        gained_top1, gained_epoch: when validation was last clearly better; for early stopping.
        validated_step: weight updates that the last validation came after.
        epoch_loss_sum, epoch_correct, epoch_images: sums over the current epoch so far.
    """

    threads: int
    precision: str
    micro_batch: int = 0
    recompute: Recompute | Literal[""] = ""
    step: int = 0
    elapsed_seconds: float = 0.0
    best_top1: float = -1.0
    best_epoch: int = 0
    highest_top1: float = -1.0
    gained_top1: float = -1.0
    gained_epoch: int = 0
    validated_step: int = 0
    epoch_loss_sum: float = 0.0
    epoch_correct: float = 0.0
    epoch_images: int = 0


def save_state(path: Path, learner: Learner, state: TrainState) -> int:
    """Write the state; return its size in bytes.

    Raises:
        DiskError: when it cannot be written; the previous state is kept.
    """
    tensors = {name: value.cpu().contiguous() for name, value in learner.tensors().items()}
    content = save(tensors, {_KEY: json.dumps(asdict(state))})
    write_atomically(path, content)
    return len(content)


def saved_step(path: Path) -> int:
    """Return the weight updates that a resume would start after; 0 without a state.

    Raises:
        WeightsError: when the file is damaged.
    """
    return _read(path).step if path.exists() else 0


def load_state(path: Path, learner: Learner) -> TrainState:
    """Put a learner back where it was; return the rest of the state.

    Raises:
        WeightsError: when the file is damaged or of another model.
    """
    state = _read(path)
    _, announced = read_header(path)
    if not _belongs(announced, learner):
        raise _damaged(path)
    try:
        tensors = load_file(path)
        if not all(
            bool(value.isfinite().all())
            for name, value in tensors.items()
            if not name.startswith("optimizer.")
        ):
            raise _damaged(path)
        learner.load(tensors)
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise _damaged(path) from error
    return state


def _read(path: Path) -> TrainState:
    metadata, _ = read_header(path)
    try:
        state = TrainState(**json.loads(metadata[_KEY]))
        if _is_sound(state):
            return state
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    raise _damaged(path)


def _is_sound(state: TrainState) -> bool:
    """Tell whether every value is of its type and within bounds."""
    kinds: dict[str, Any] = {"int": int, "float": int | float}
    for field in fields(state):
        value = getattr(state, field.name)
        if isinstance(value, bool) or not isinstance(value, kinds.get(str(field.type), str)):
            return False
        if field.type == "int" and not 0 <= value < _MAX_COUNT:
            return False
    return (
        1 <= state.threads <= _MAX_THREADS
        and state.precision in get_args(Precision)
        and state.recompute in (*get_args(Recompute), "")
        and 0 <= state.elapsed_seconds < inf
    )


def _belongs(announced: dict[str, TensorEntry], learner: Learner) -> bool:
    """Tell whether a file has the tensors of this learner, in shape and type."""
    expected = {name: tuple(value.shape) for name, value in learner.tensors().items()}
    return all(entry.dtype == "F32" for entry in announced.values()) and expected == {
        name: entry.shape for name, entry in announced.items()
    }


def _damaged(path: Path) -> WeightsError:
    return WeightsError("the state for resuming is damaged", where=path, remedy="train anew")
