"""Less memory for more time: what a backward pass computes again (Chen et al. 2016, section 3).

``torch.utils.checkpoint`` does the same. But it loads torch's compiler, and with it 150 MB: more
than a small model spares by computing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def recomputed(function: Callable[[Tensor], Tensor], x: Tensor, *, draws: bool) -> Tensor:
    """Return ``function(x)``, keeping of it nothing but `x`.

    The backward pass raises a RuntimeError if `x` was changed in place, or if `function` keeps less
    than the first time.

    Args:
        function: does the same when it is called again.
        x: a tensor of any shape.
        draws: whether `function` draws random numbers.
    """
    again = _Again(function, x, draws)
    with saved_tensors_hooks(again.number, again.tensor):
        return function(x)


class _AllComputed(Exception):
    """Of a second computation, nothing more is needed."""


class _Again:
    """What a first computation would have kept, by number; computed at the first question."""

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor, draws: bool) -> None:
        self._function, self._x, self._version = function, x, x._version
        self._tensors: dict[int, Tensor] = {}
        self._count = 0
        kind = x.device.type
        self._autocast = partial(
            torch.autocast,
            kind,
            dtype=torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
        )
        self._random = _random_states(x.device) if draws else None

    def number(self, _: Tensor) -> int:
        self._count += 1
        return self._count - 1

    def tensor(self, number: int) -> Tensor:
        if number not in self._tensors:
            self._tensors = dict(enumerate(self._compute()))
        return self._tensors.pop(number)

    def _compute(self) -> list[Tensor]:
        if self._x._version != self._version:
            raise RuntimeError("what is to be computed again was changed in place")
        found: list[Tensor] = []

        def keep(tensor: Tensor) -> Any:
            found.append(tensor.detach())
            if len(found) == self._count:
                raise _AllComputed

        try:
            with (
                self._same_draws(),
                self._autocast(),
                torch.enable_grad(),
                saved_tensors_hooks(keep, self.tensor),
            ):
                self._function(self._x)
        except _AllComputed:
            return found
        raise RuntimeError("computing again kept less than the first time")

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        if self._random is None:
            yield
            return
        device = self._x.device
        before = _random_states(device)
        _set_random_states(device, self._random)
        try:
            yield
        finally:
            _set_random_states(device, before)


def _random_states(device: torch.device) -> tuple[Tensor, ...]:
    """Return the states of torch's generators, of the CPU and of another device."""
    if device.type == "cpu":
        return (torch.get_rng_state(),)
    own = torch.get_device_module(device).get_rng_state(*_which(device))
    return torch.get_rng_state(), own


def _set_random_states(device: torch.device, states: tuple[Tensor, ...]) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1], *_which(device))


def _which(device: torch.device) -> tuple[torch.device, ...]:
    return () if device.type == "mps" else (device,)  # there is one
