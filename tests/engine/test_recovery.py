"""Promises about memory: a budget binds, and running out of it costs speed, not the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref

import pytest
import short_of_memory
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import make_run, of

from vixtui.engine.device import out_of_memory
from vixtui.engine.learner import Learner
from vixtui.engine.recovery import Recovery
from vixtui.errors import DoesNotFitError
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import (
    Checkpointed,
    Failed,
    MemoryRanOut,
    RunStarted,
    Validated,
)
from vixtui.runs.process import start_training
from vixtui.runs.ways import smaller
from vixtui.runs.weights import Preprocessing, read_header

CPU = torch.device("cpu")
WAIT_SECONDS = 240.0


def train(run: RunDirectory, *, first_step: int, most: int) -> int:
    """Train with an allocator that fails above `most` pictures; return the exit code."""
    program = [sys.executable, short_of_memory.__file__, str(first_step), str(most)]
    with run.log_path.open("ab") as log:
        done = subprocess.run(
            [*program, "train", str(run.path)], stdout=log, stderr=log, timeout=WAIT_SECONDS
        )
    return done.returncode


def train_well(run: RunDirectory) -> None:
    assert start_training(run).wait(WAIT_SECONDS) == 0, run.log_path.read_text()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(short_of_memory.WORDS),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, max allowed: 9.07 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
        MemoryError(),
    ],
)
def test_every_device_s_way_to_run_out_of_memory_is_recognised(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("memory")])
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not out_of_memory(error)


@given(micro_batch=st.integers(1, 5000), recompute=st.sampled_from(["fast", "none", "mlp"]))
def test_pictures_are_halved_first_and_then_more_is_recomputed(micro_batch, recompute) -> None:
    seen = [(micro_batch, recompute)]
    while (following := smaller(*seen[-1])) is not None:
        seen.append(following)
    sizes, levels = zip(*seen, strict=True)
    assert sizes[: micro_batch.bit_length()] == tuple(
        micro_batch >> halvings for halvings in range(micro_batch.bit_length())
    )
    assert set(levels[: micro_batch.bit_length()]) == {recompute}
    assert (
        list(dict.fromkeys(levels))
        == ["fast", "none", "mlp", "block"][["fast", "none", "mlp", "block"].index(recompute) :]
    )


@pytest.fixture(params=["vit:tiny", "vip:tiny", "hybrid-vin-rope:tiny"])
def learner(request: pytest.FixtureRequest) -> Learner:
    config = make_run(preset_name=request.param, batch_size=24, micro_batch=24).config()
    return Learner(config, Preprocessing(mean=(0.5,), std=(0.3,)), CPU)


WAYS_OF_24 = [(12, "none"), (6, "none"), (3, "none"), (1, "none"), (1, "mlp"), (1, "block")]


def gradient(learner: Learner) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in learner.model.parameters()])


@pytest.mark.parametrize("failures", [1, 3, 6])
def test_an_update_done_anew_has_the_gradient_of_one_that_fitted(
    learner: Learner, failures: int
) -> None:
    images = torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8)
    labels = torch.arange(24) % 10
    learner.accumulate(images, labels, step=3)
    whole = gradient(learner)
    learner.forget()

    told: list[tuple[int, str]] = []

    def work() -> None:
        learner.accumulate(images, labels, step=3)
        if len(told) < failures:
            raise RuntimeError(short_of_memory.WORDS)

    Recovery(learner, CPU, lambda *change: told.append(change)).run(work)

    assert told == WAYS_OF_24[:failures]
    assert (learner.micro_batch, learner.recompute) == told[-1]
    assert (gradient(learner) - whole).norm() <= 2e-5 * whole.norm()


def test_the_smallest_way_failing_too_is_one_clear_error(learner: Learner) -> None:
    def work() -> None:
        raise MemoryError

    with pytest.raises(DoesNotFitError, match=r"smaller preset.*larger --budget"):
        Recovery(learner, CPU, lambda *change: None).run(work)


def test_an_error_of_another_kind_is_not_tried_again(learner: Learner) -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Recovery(learner, CPU, lambda *change: pytest.fail("tried again")).run(work)


def test_where_no_code_could_be_made_once_another_thread_goes_on(learner: Learner) -> None:
    """The code generator of a thread that failed would fail for ever."""
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        if len(set(threads)) == 1:
            raise RuntimeError("could not create a primitive")

    recovery = Recovery(learner, CPU, lambda *change: None)
    recovery.run(work)
    recovery.run(work)
    assert threads[0] is threading.current_thread()
    assert threads[1] is threads[2] is not threads[0]


def test_another_thread_computes_on_as_many_threads_as_are_set_since(learner: Learner) -> None:
    def work() -> int:
        if threading.current_thread() is threading.main_thread():
            raise RuntimeError("could not create a primitive")
        return torch.get_num_threads()

    recovery, before = Recovery(learner, CPU, lambda *change: None), torch.get_num_threads()
    try:
        for threads in (2, 1, 3):
            torch.set_num_threads(threads)
            assert recovery.run(work) == threads
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_failed_update_is_let_go_before_the_next_try(learner: Learner) -> None:
    """Its graph hangs on the traceback: it must be gone when memory is tight."""
    seen: list[weakref.ref[torch.Tensor]] = []

    def work() -> None:
        assert not any(reference() is not None for reference in seen)
        activations = torch.zeros(3)
        seen.append(weakref.ref(activations))
        if len(seen) < 3:
            raise RuntimeError(short_of_memory.WORDS)

    Recovery(learner, CPU, lambda *change: None).run(work)
    assert len(seen) == 3


def test_memory_that_is_short_from_the_start_gives_the_weights_of_the_smaller_plan() -> None:
    short = make_run(run_id="short", micro_batch=64, epochs=1)
    planned = make_run(run_id="planned", micro_batch=16, epochs=1)
    assert train(short, first_step=0, most=16) == 0, short.log_path.read_text()
    train_well(planned)
    assert [(event.step, event.micro_batch) for event in of(short, MemoryRanOut)] == [
        (0, 32), (0, 16),
    ]  # fmt: skip
    assert short.model_path.read_bytes() == planned.model_path.read_bytes()


def test_memory_that_runs_out_for_good_ends_with_advice_and_can_be_gone_on_from() -> None:
    run, whole = make_run(epochs=1, micro_batch=4), make_run(run_id="whole", epochs=1)
    assert train(run, first_step=5, most=0) == 5
    (failed,) = of(run, Failed)
    assert failed.exit_code == 5
    assert "--budget" in failed.message
    assert "Traceback" not in run.log_path.read_text()
    assert of(run, Checkpointed)[-1].step == 5
    assert of(run, MemoryRanOut)[-1].recompute == "block"

    train_well(run)
    assert of(run, RunStarted)[-1].resumed_step == 5
    assert json.loads(read_header(run.state_path)[0]["vixtui-state"])["micro_batch"] == 1
    train_well(whole)
    ends = [of(either, Validated)[-1].loss for either in (run, whole)]
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits addresses usefully")
def test_a_budget_binds_on_the_cpu_and_the_run_still_ends_well() -> None:
    run = make_run(
        "shapes",
        preset_name="vip:tiny",
        budget_bytes=1,
        micro_batch=512,
        batch_size=512,
        epochs=1,
    )
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})  # each core's thread has room for a stack
    try:
        train_well(run)
    finally:
        os.sched_setaffinity(0, usable)
    first = of(run, MemoryRanOut)[0]
    assert (first.step, first.micro_batch) == (0, 256)
