"""The fastest way to run on this machine now: threads and precision, by trying."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

import torch

from vixtui.runs.config import Precision

_ROUNDS = 5
_SECONDS_A_WAY = 1.5
# A way that takes so many times as long as the fastest is not tried again.
_HOPELESS = 2.0
# Of updates that take so long, one tells whether a way is clearly slower.
_LONG_SECONDS, _CLEARLY = 2.0, 1.5
# Threads that compute for so much of the time wait little for each other or another program.
_BUSY = 0.7
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
    """Return the ways to run of which the fastest is to be found; more threads come first.

    Args:
        device: where it runs; on a GPU the threads hardly matter and one number is tried.
        threads: a fixed number, or 0 to choose between one and all.
        precision: a fixed one, or ``auto`` to choose.
        cores: that it may use.
    """
    thread_choices = [threads] if threads else [cores, 1] if cores > 1 else [1]
    if device.type != "cpu":
        thread_choices = [threads or cores]
    precisions = ["fp32", "bf16"] if native_bf16(device) else ["fp32"]
    if precision != "auto":
        precisions = [precision]
    return [(kind, number) for kind in precisions for number in thread_choices]


def first_updates(
    run: Callable[[str], object], device: torch.device, ways: Sequence[Way], *, seconds: float
) -> dict[Way, float]:
    """Do one update in each of some ways; return the seconds that it took.

    Left out is fewer threads where a long update kept more of them busy, and what the time does not
    suffice for.

    Args:
        run, device: as for `calibrate`.
        ways: of one precision those with more threads first.
        seconds: for all but the first.
    """
    started, taken = time.perf_counter(), dict[Way, float]()
    kept_busy = set[str]()
    for kind, threads in ways:
        if taken and time.perf_counter() - started >= seconds:
            break
        if kind in kept_busy:
            continue
        computed = time.process_time()
        taken[kind, threads] = took = _time(run, device, kind, threads)
        busy = (time.process_time() - computed) / (took * threads) if took else 0.0
        if took >= _LONG_SECONDS and busy >= _BUSY:
            kept_busy.add(kind)
    return taken


def worth_timing(taken: Mapping[Way, float]) -> list[Way]:
    """Return the ways of which one may be fastest, after a first update in each.

    First updates are slower than later ones, but long ones by so little that a way that is clearly
    slower stays so.
    """
    least = min(taken.values())
    return [way for way, took in taken.items() if took < max(_LONG_SECONDS, _CLEARLY * least)]


def calibrate(
    run: Callable[[str], object],
    device: torch.device,
    ways: Sequence[Way],
    *,
    seconds: float = inf,
) -> Speed:
    """Time a few updates in each of some ways; return the fastest.

    The ways take turns: what holds up the machine for a while holds them up alike.

    Args:
        run: performs one update in the named precision without a lasting effect.
        device: where it runs.
        ways: to choose from; each was run before.
        seconds: for all ways; when they are over, those not timed yet are left out.
    """
    started = time.perf_counter()
    durations: dict[Way, list[float]] = {}
    contenders = list(ways)
    for number in range(_ROUNDS):
        limit = min(seconds, _SECONDS_A_WAY * len(ways)) if number else seconds
        for way in contenders:
            if durations and time.perf_counter() - started >= limit:
                break
            durations.setdefault(way, []).append(_time(run, device, *way))
        if number:  # what happens once may be chance
            fastest = min(map(median, durations.values()))
            contenders = [way for way in durations if median(durations[way]) < _HOPELESS * fastest]
    # Beside another program a few updates are lucky, which tells little about the rest.
    tried = [Speed(threads, kind, median(taken)) for (kind, threads), taken in durations.items()]
    best = min(
        tried, key=lambda speed: speed.seconds * (_WORTH_IT if speed.precision == "bf16" else 1)
    )
    torch.set_num_threads(best.threads)
    return best


def _time(
    run: Callable[[str], object], device: torch.device, precision: str, threads: int
) -> float:
    torch.set_num_threads(threads)
    started = time.perf_counter()
    run(precision)
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter() - started


def native_bf16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 by itself, not by float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("bf16"))
