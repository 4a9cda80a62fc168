"""What the engine tells: one JSON object a line in ``events.jsonl``.

Writers append and flush; readers ignore a torn last line, unknown types and unknown fields, so
that an older viewer can watch a newer engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vixtui.files import disk_error

VERSION = 1
# Bounds of what a reader believes: 64-bit counts, times before the year 3000.
_MAX_NUMBER = 2**63
_MAX_TIME = 32_503_680_000
_TAIL_BYTES = 20_000
_MAX_LINE_BYTES = 10_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Common to all: position in the log and wall clock time (seconds since the epoch)."""

    seq: int
    t: float


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStarted(Event):
    """The engine runs: for the first time, or again after a stop or crash (`resumed_step` > 0).

    `run` is the id of the run.
    """

    pid: int
    device: str
    resumed_step: int
    run: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataChecked(Event):
    """The pictures are decoded. Counts are pictures; `unusable` were left out, each warned of."""

    train: int
    validation: int
    test: int
    unusable: int
    num_classes: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelBuilt(Event):
    """The model is ready: its parameters, and the threads and precision measured as fastest.

    `images_per_second` is that of all `processes`.
    """

    parameters: int
    threads: int
    precision: str
    images_per_second: float
    steps_per_epoch: int
    epochs: int | None
    seconds_budget: float | None
    processes: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RateFound(Event):
    """A sweep over learning rates has suggested the peak `lr`.

    `losses` are its smoothed losses, separated by spaces, at rates that grow by a constant factor
    from `first_rate` to `last_rate`.
    """

    lr: float
    first_rate: float
    last_rate: float
    losses: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDone(Event):
    """Means over a window of about 0.1 s. `progress` is the fraction of the schedule done."""

    step: int
    epoch: float
    loss: float
    accuracy: float
    lr: float
    grad_norm: float
    images_per_second: float
    memory_bytes: int
    progress: float
    eta_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochDone(Event):
    """Training means over one epoch; `epoch` counts from 1, `seconds` since the run began."""

    epoch: int
    step: int
    loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Validated(Event):
    """Validation over all its pictures after `epoch`.

    `is_best`: these weights are kept as the run's best until later ones are. Later ones are, unless
    they score worse than the highest score so far by more than its standard error.
    """

    epoch: int
    step: int
    top1: float
    top5: float
    loss: float
    is_best: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpointed(Event):
    """The state for an exact resume is safely on disk."""

    step: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned(Event):
    """Something a user should know; already safe to show."""

    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRanOut(Event):
    """Step `step` is done anew with fewer pictures at a time, or more recomputed; as before, else.

    Only memory and speed change: the effective batch stays, and so do its gradients.
    """

    step: int
    micro_batch: int
    recompute: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadsChanged(Event):
    """From step `step` on there are so many threads, which are fastest now."""

    step: int
    threads: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSkipped(Event):
    """The loss of step `step` was no number or exploded: the weights stay. `skipped` so far."""

    step: int
    skipped: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WentBack(Event):
    """Several steps in a row could not be done: from the weights of `epoch`, 0 the first, again.

    `rate` is the factor on the learning rate from now on.
    """

    step: int
    epoch: int
    rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused(Event):
    """The run waits, its state saved."""

    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed(Event):
    """The run goes on after a pause."""

    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TestStarted(Event):
    """Training is over; the kept weights are being tested."""

    split: str
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tested(Event):
    """The kept weights on the test split; details in ``evaluation.json``."""

    split: str
    top1: float
    top5: float
    loss: float
    images: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped(Event):
    """Ended on request; can be resumed."""

    step: int
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished(Event):
    """The last word of a whole run: `reason` is ``schedule``, ``time`` or ``early stopping``.

    `best_epoch` and `best_top1` (validation) are those of the kept weights; `seconds` is the time
    of training, the test left out. `energy_joules` of all sessions is None when unknown;
    `energy_basis` says what was counted, other programs included, or why nothing was.
    """

    reason: str
    best_epoch: int
    best_top1: float
    seconds: float
    peak_memory_bytes: int
    energy_joules: float | None = None
    energy_basis: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed(Event):
    """Ended by an error: one safe line and the exit code."""

    message: str
    exit_code: int


TYPES: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        RunStarted, DataChecked, ModelBuilt, RateFound, StepDone, EpochDone, Validated,
        Checkpointed, Warned, MemoryRanOut, ThreadsChanged, StepSkipped, WentBack, Paused, Resumed,
        TestStarted, Tested, Stopped, Finished, Failed,
    )
}  # fmt: skip
FINAL = (Stopped, Finished, Failed)

# What JSON may hold for a field of a type.
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    required: bool
    types: tuple[type, ...]
    no_number_is_nan: bool


def _field(name: str, default: object, wanted: str) -> _Field:
    types = _JSON_TYPES[wanted.removesuffix(" | None")]
    optional = (type(None),) if wanted.endswith("None") else ()
    return _Field(name, default is MISSING, (*types, *optional), wanted == "float")


_FIELDS = {
    kind: tuple(_field(one.name, one.default, str(one.type)) for one in fields(kind))
    for kind in TYPES.values()
}


def encode(event: Event) -> bytes:
    """Return the event's line, newline included. Non-finite numbers become null."""
    record = {"v": VERSION, "type": type(event).__name__, **asdict(event)}
    for name, value in record.items():
        if isinstance(value, float) and not math.isfinite(value):
            record[name] = None
    return json.dumps(record, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> Event | None:
    """Return the event of a line, or None when it is torn, of a newer type or no event at all.

    Null and endless numbers become NaN; every other number fits 64 bits.
    """
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("v") != VERSION:
        return None
    kind = TYPES.get(str(record.get("type")))
    if kind is None:
        return None
    values: dict[str, Any] = {}
    for field in _FIELDS[kind]:
        value = record.get(field.name, MISSING)
        if value is MISSING:
            if field.required:
                return None
            continue
        if field.no_number_is_nan and (value is None or value in (math.inf, -math.inf)):
            value = math.nan
        if type(value) not in field.types:
            return None
        if type(value) is int and abs(value) >= _MAX_NUMBER:
            return None
        values[field.name] = value
    return kind(**values) if 0 <= values["t"] < _MAX_TIME else None


class EventWriter:
    """Appends events to a log; numbering goes on where an earlier process left off.

    Args:
        path: the log; made when missing. A torn last line is cut off first.

    Raises:
        OSError: when the log cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a+b", buffering=0)
        self._size = self._seq = 0
        self._mend()

    def _mend(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        self._size = content.rfind(b"\n") + 1
        self._file.truncate(self._size)
        lines = content[: self._size].split(b"\n")
        events = [event for line in lines if (event := decode(line))]
        self._seq = events[-1].seq + 1 if events else 0

    def write(self, kind: type[Event], t: float, **values: object) -> Event:
        """Append one event, for everyone to read at once.

        Raises:
            DiskError: when it cannot be written; nothing of it is left in the log.
        """
        event = kind(seq=self._seq, t=t, **values)
        line = rest = encode(event)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._size)
            raise disk_error(error, self._path) from error
        self._seq += 1
        self._size += len(line)
        return event

    def close(self) -> None:
        """Close the log."""
        self._file.close()


class EventTail:
    """Reads the events that have come since the last look.

    Args:
        path: the log; may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def poll(self) -> list[Event]:
        """Return new whole events, oldest first; an unfinished last line waits for next time."""
        events = []
        with suppress(OSError), self._path.open("rb") as file:
            file.seek(self._offset)
            while line := file.readline(_MAX_LINE_BYTES):
                if len(line) < _MAX_LINE_BYTES and not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                if event := decode(line):
                    events.append(event)
        return events


def last_event(path: Path) -> Event | None:
    """Return the last whole event of a log without reading all of it."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return None
    return next((event for line in reversed(lines) if (event := decode(line))), None)


def read_events(path: Path) -> Iterator[Event]:
    """Yield every readable event of a log, oldest first."""
    yield from EventTail(path).poll()
