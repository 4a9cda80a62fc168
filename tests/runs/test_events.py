"""The event log: what is written comes back, and nothing in the file can hurt a reader."""

from __future__ import annotations

import errno
import json
import math
import os
import tracemalloc
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vixtui.errors import DiskError
from vixtui.runs import events as e
from vixtui.runs.progress import RunProgress

VALUES = {
    "int": st.integers(-(2**62), 2**62),
    "float": st.floats(),
    "str": st.text(),
    "bool": st.booleans(),
    "int | None": st.none() | st.integers(0, 2**62),
    "float | None": st.none() | st.floats(allow_nan=False, allow_infinity=False),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def step(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "step": number, "epoch": 1.0, "loss": 0.5, "accuracy": 0.5, "lr": 1e-3, "grad_norm": 1.0,
        "images_per_second": 1.0, "memory_bytes": 1, "progress": 0.5, "eta_seconds": 1.0,
    } | changes  # fmt: skip


@st.composite
def whole_events(draw: st.DrawFn) -> e.Event:
    kind = draw(st.sampled_from(list(e.TYPES.values())))
    values = {field.name: draw(VALUES[str(field.type)]) for field in fields(kind)}
    return kind(**values | {"t": draw(st.floats(0, 4e9))})


@st.composite
def near_events(draw: st.DrawFn) -> bytes:
    """Return lines that have an event's fields, with anything in them."""
    kind = draw(st.sampled_from(list(e.TYPES.values())))
    record = {field.name: draw(VALUES[str(field.type)] | JSON) for field in fields(kind)}
    return json.dumps({"v": draw(st.just(1) | JSON), "type": kind.__name__} | record).encode()


def same(left: e.Event, right: e.Event) -> bool:
    """Compare, NaN being equal to NaN and to what became null."""
    pairs = [(getattr(left, f.name), getattr(right, f.name)) for f in fields(left)]
    return type(left) is type(right) and all(
        a == b or (isinstance(a, float) and not math.isfinite(a) and math.isnan(b))
        for a, b in pairs
    )


@given(whole_events())
def test_every_event_comes_back(event: e.Event) -> None:
    line = e.encode(event)
    assert line.count(b"\n") == 1
    assert line.isascii()
    back = e.decode(line)
    assert back is not None
    assert same(event, back)


def test_nan_is_null_in_the_file_and_nan_again_in_memory(tmp_path: Path) -> None:
    writer = e.EventWriter(tmp_path / "log")
    writer.write(e.StepDone, 1.0, **step(1, loss=math.nan, eta_seconds=math.inf))
    writer.close()
    record = json.loads((tmp_path / "log").read_bytes())
    assert record["loss"] is record["eta_seconds"] is None
    [event] = e.read_events(tmp_path / "log")
    assert isinstance(event, e.StepDone)
    assert math.isnan(event.loss)
    assert math.isnan(event.eta_seconds)


@given(st.lists(st.binary(max_size=60) | near_events(), max_size=6).map(b"\n".join))
@example(b"[" * 100_000 + b"\n")
@example(b'{"v":1,"type":"Warned","seq":0,"t":NaN,"message":""}\n')
@example(b'{"v":1,"type":"Paused","seq":0,"t":1e300,"step":1}\n')
@example(b'{"v":1,"type":"Paused","seq":0,"t":1,"step":1' + b"0" * 400 + b"}\n")
@example(b'{"v":1,"type":"Warned","seq":' + b"9" * 5000 + b',"t":1,"message":""}\n')
def test_any_bytes_are_read_and_written_after(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    read = list(e.read_events(path))
    RunProgress.read(path)
    for event in read:
        assert 0 <= event.t < 4e10, "a viewer shows it as a time of day"
        for field in fields(event):
            value = getattr(event, field.name)
            assert not isinstance(value, int) or abs(value) < 2**63, "a viewer divides it"
    writer = e.EventWriter(path)
    writer.write(e.Warned, 1.0, message="after")
    writer.close()
    kept = list(e.read_events(path))
    assert len(kept) == len(read) + 1
    assert kept[-1].seq == (read[-1].seq + 1 if read else 0)


def test_a_torn_last_line_waits_and_the_next_writer_cuts_it_off(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = e.EventWriter(path)
    writer.write(e.Paused, 1.0, step=1)
    writer.close()
    tail = e.EventTail(path)
    with path.open("ab") as log:
        log.write(e.encode(e.Paused(seq=1, t=2.0, step=2))[:-9])
    assert [event.seq for event in tail.poll()] == [0]
    assert tail.poll() == []
    writer = e.EventWriter(path)
    assert path.read_bytes().endswith(b"}\n")
    writer.write(e.Resumed, 3.0, step=1)
    writer.close()
    assert tail.poll() == [e.Resumed(seq=1, t=3.0, step=1)]
    assert [event.seq for event in e.read_events(path)] == [0, 1]


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.touch()
    os.truncate(path, 300_000_000)
    with path.open("ab") as log:
        log.write(b"\n" + e.encode(e.Paused(seq=0, t=1.0, step=7)))
    tracemalloc.start()
    try:
        assert [event.seq for event in e.EventTail(path).poll()] == [0]
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_a_line_that_grows_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path, line = tmp_path / "events.jsonl", e.encode(e.Paused(seq=0, t=1.0, step=7))
    tail, found = e.EventTail(path), []
    assert tail.poll() == []
    for position in range(len(line)):
        with path.open("ab") as log:
            log.write(line[position : position + 1])
        found.append(len(tail.poll()))
    assert found == [0] * (len(line) - 1) + [1]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "GrownWings"},
        {"v": 2},
        {"step": "7"},
        {"step": True},
        {"step": 1.5},
        {"step": None},
        {"t": "now"},
        {"t": -1},
    ],
    ids=str,
)
def test_lines_of_newer_or_damaged_writers_are_passed_over(change: dict[str, Any]) -> None:
    record = {"v": 1, "type": "Paused", "seq": 0, "t": 1.0, "step": 7}
    assert e.decode(json.dumps(record).encode()) == e.Paused(seq=0, t=1.0, step=7)
    assert e.decode(json.dumps(record | change).encode()) is None


def test_unknown_fields_are_ignored_and_missing_ones_make_no_event() -> None:
    record = {"v": 1, "type": "Paused", "seq": 0, "t": 1.0, "step": 7, "colour": ["red"]}
    assert e.decode(json.dumps(record).encode()) == e.Paused(seq=0, t=1.0, step=7)
    del record["step"]
    assert e.decode(json.dumps(record).encode()) is None


def test_every_kind_of_event_can_be_read() -> None:
    kinds = {kind for kind in vars(e).values() if isinstance(kind, type)}
    concrete = {kind for kind in kinds if issubclass(kind, e.Event) and kind is not e.Event}
    assert set(e.TYPES.values()) == concrete
    assert set(e.FINAL) <= concrete


def test_what_is_written_is_there_at_once(tmp_path: Path) -> None:
    writer = e.EventWriter(tmp_path / "log")
    event = writer.write(e.Checkpointed, 5.0, step=3, bytes=9)
    assert list(e.read_events(tmp_path / "log")) == [event]
    writer.close()


class Full:
    """A log file whose disk is full after a few bytes more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.room = file, 10

    def write(self, content: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._file.write(content[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_of_an_event_that_a_full_disk_has_no_room_for_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = e.EventWriter(path)
    first = writer.write(e.Paused, 1.0, step=1)
    full = writer._file = Full(writer._file)  # type: ignore[assignment]
    with pytest.raises(DiskError, match="the disk is full"):
        writer.write(e.Paused, 2.0, step=2)
    assert path.read_bytes() == e.encode(first)
    full.room = 10_000  # type: ignore[attr-defined]
    second = writer.write(e.Paused, 3.0, step=3)
    writer.close()
    assert list(e.read_events(path)) == [first, second]
    assert second.seq == 1


def test_the_last_event_is_found_at_the_end_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert e.last_event(path) is None
    writer = e.EventWriter(path)
    assert e.last_event(path) is None
    for number in range(2000):
        last = writer.write(e.Warned, 1.0, message=f"{number}" * 20)
    writer.close()
    with path.open("ab") as log:
        log.write(b"no event\n" + e.encode(e.Paused(seq=9999, t=1.0, step=1))[:-5])
    assert e.last_event(path) == last
