"""The fastest way to run on this machine now: threads and precision, by trying."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

import torch

from vixtui.runs.config import Precision

_WARM_UP_RUNS = 1
_TIMED_RUNS = 4
_SECONDS_EACH = 1.5
# bfloat16 rounds the weights' gradients more coarsely, so it has to earn its place.
_WORTH_IT = 1.15


@dataclass(frozen=True, slots=True)
class Speed:
    """A way to run and the seconds an update took."""

    threads: int
    precision: str
    seconds: float


Way = tuple[str, int]
"""Precision and number of threads."""


def ways_to_try(
    device: torch.device, *, threads: int, precision: Precision, cores: int
) -> list[Way]:
    """Return the ways to run of which the fastest is to be found.

    Args:
        device: where it runs; on a GPU the threads hardly matter and one number is tried.
        threads: a fixed number, or 0 to choose between one and all.
        precision: a fixed one, or ``auto`` to choose.
        cores: that it may use.
    """
    thread_choices = [threads] if threads else [1, cores] if cores > 1 else [1]
    if device.type != "cpu":
        thread_choices = [threads or cores]
    precisions = ["fp32", "bf16"] if native_bf16(device) else ["fp32"]
    if precision != "auto":
        precisions = [precision]
    return [(kind, number) for kind in precisions for number in thread_choices]


def calibrate(
    run: Callable[[str], object],
    device: torch.device,
    ways: Sequence[Way],
    *,
    seconds: float = inf,
) -> Speed:
    """Time a few updates in each of some ways; return the fastest.

    Args:
        run: performs one update in the named precision without a lasting effect.
        device: where it runs.
        ways: to choose from; each was run before.
        seconds: for all ways; when they are over, those not timed yet are left out.
    """
    each, started = min(_SECONDS_EACH, seconds / len(ways)), time.perf_counter()
    tried: list[Speed] = []
    for kind, number in ways:
        if tried and time.perf_counter() - started >= seconds:
            break
        tried.append(_time(run, device, number, kind, each))
    best = min(
        tried, key=lambda speed: speed.seconds * (_WORTH_IT if speed.precision == "bf16" else 1)
    )
    torch.set_num_threads(best.threads)
    return best


def _time(
    run: Callable[[str], object],
    device: torch.device,
    threads: int,
    precision: str,
    seconds: float,
) -> Speed:
    torch.set_num_threads(threads)
    started = time.perf_counter()
    durations: list[float] = []
    for index in range(_WARM_UP_RUNS + _TIMED_RUNS):
        before = time.perf_counter()
        run(precision)
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        after = time.perf_counter()
        if index >= _WARM_UP_RUNS or not durations:
            durations.append(after - before)
        if after - started > seconds:
            break
    # Beside another program a few updates are lucky, which tells little about the rest.
    return Speed(threads, precision, median(durations))


def native_bf16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 by itself, not by float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("bf16"))
