"""``state.safetensors``: everything an exact resume needs, in one file, without pickle."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Literal, get_args

from safetensors import SafetensorError
from safetensors.torch import load_file

from vixtui.engine.learner import Learner
from vixtui.engine.storage import is_intact, save_tensors
from vixtui.errors import DiskError, VixtuiError, WeightsError
from vixtui.files import commit, disk_error, replacing, sync
from vixtui.models.config import Recompute
from vixtui.runs.config import Precision
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Checkpointed, read_events
from vixtui.runs.weights import TensorEntry, check_weights, read_header

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
        skipped, skipped_in_a_row: updates whose loss was no number or exploded.
        setbacks: returns to good weights, each at a lower rate.
        epoch_loss_sum, epoch_correct, epoch_images: sums over the current epoch so far.
        began_seconds: training time used before the first update.
        expected_epochs: of the whole run, by trial updates and, limited by time, the epochs so far.
        found_lr: peak learning rate found by a sweep; 0 without one.
        energy_joules: used so far; -1 when that of a part of it is unknown.
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
    skipped: int = 0
    skipped_in_a_row: int = 0
    setbacks: int = 0
    epoch_loss_sum: float = 0.0
    epoch_correct: float = 0.0
    epoch_images: int = 0
    began_seconds: float = 0.0
    expected_epochs: float = 0.0
    found_lr: float = 0.0
    energy_joules: float = 0.0


def save_state(run: RunDirectory, learner: Learner, state: TrainState) -> int:
    """Write the state, the one before it kept beside it; return its size in bytes.

    Raises:
        DiskError: when it cannot be written; the previous state is kept.
    """
    return save_tensors(
        run.state_path,
        learner.tensors(),
        {_KEY: json.dumps(asdict(state))},
        sealed=True,
        predecessor=run.predecessor_path,
    )


def settle_state(run: RunDirectory) -> str | None:
    """Put the state that a resume starts from into its place, before anything reads it.

    That is the newest, or the one before it when the newest is damaged, or when the weights are
    that were kept between the two: the way from there to the end is the same. It stays where it
    was, too, as the newest may be damaged again before the next is written. In place of the very
    first state, the run begins anew.

    Returns:
        A warning when something was damaged.

    Raises:
        WeightsError: when there are states and none can be used.
        DiskError: when a file cannot be written, renamed or removed.
    """
    newest, before = _intact(run.state_path), _intact(run.predecessor_path)
    if newest is None and before is None:
        return _begin_anew(run) if run.state_path.exists() else None
    torn = "" if newest or not run.state_path.exists() else run.state_path.name
    try:
        if newest and newest.best_epoch and not _are_weights(run.model_path):
            run.model_path.unlink(missing_ok=True)
            if before is None or before.best_epoch == newest.best_epoch:
                return f"the weights of epoch {newest.best_epoch} are damaged: later ones are kept"
            newest, torn = None, run.model_path.name
        if newest is None:
            _put_back(run.predecessor_path, run.state_path)
    except OSError as error:
        raise disk_error(error, run.state_path) from error
    if not torn or before is None:  # a state alone may have been killed between two renames
        return None
    return f"damaged: {torn}; goes on from the state before, of step {before.step:,}"


def _begin_anew(run: RunDirectory) -> str:
    """Forget a damaged first state.

    Raises:
        WeightsError: when it is not the first: what was learned is not to be forgotten.
        DiskError: when a file cannot be removed.
    """
    learned = any(
        isinstance(event, Checkpointed) and event.step for event in read_events(run.events_path)
    )
    if learned or run.predecessor_path.exists():
        raise _damaged(run.state_path)
    try:
        run.state_path.unlink()
        if not _are_weights(run.model_path):
            run.model_path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, run.state_path) from error
    return f"damaged: {run.state_path.name}, the first one; begins anew"


def _put_back(predecessor: Path, path: Path) -> None:
    """Replace a state by a copy of the one before; without room for a copy, by that itself."""
    try:
        with replacing(path) as temporary:
            shutil.copyfile(predecessor, temporary)
            sync(temporary)
    except DiskError:
        commit(predecessor, path)


def _intact(path: Path) -> TrainState | None:
    try:
        return _read(path) if path.exists() and is_intact(path) else None
    except VixtuiError:
        return None


def _are_weights(path: Path) -> bool:
    try:
        check_weights(path)
    except VixtuiError:
        return False
    return True


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
        and 0 <= state.began_seconds < inf
        and 0 <= state.expected_epochs < inf
        and 0 <= state.found_lr < inf
        and -1 <= state.energy_joules < inf
    )


def _belongs(announced: dict[str, TensorEntry], learner: Learner) -> bool:
    """Tell whether a file has the tensors of this learner, in shape and type."""
    expected = {name: tuple(value.shape) for name, value in learner.tensors().items()}
    return all(entry.dtype == "F32" for entry in announced.values()) and expected == {
        name: entry.shape for name, entry in announced.items()
    }


def _damaged(path: Path) -> WeightsError:
    return WeightsError("the state for resuming is damaged", where=path, remedy="train anew")
