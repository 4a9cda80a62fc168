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
from torch.utils.checkpoint import get_device_states, set_device_states


def recomputed(function: Callable[[Tensor], Tensor], x: Tensor, *, draws: bool) -> Tensor:
    """Return ``function(x)``, keeping of it nothing but `x`; for one backward pass.

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
        self._function, self._x = function, x
        self._tensors: dict[int, Tensor] = {}
        self._count = 0
        kind = x.device.type
        self._autocast = partial(
            torch.autocast,
            kind,
            dtype=torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
        )
        self._random = (torch.get_rng_state(), *get_device_states(x)) if draws else None

    def number(self, _: Tensor) -> int:
        self._count += 1
        return self._count - 1

    def tensor(self, number: int) -> Tensor:
        if number not in self._tensors:
            self._compute()
        return self._tensors.pop(number)

    def _compute(self) -> None:
        def keep(tensor: Tensor) -> Any:
            self._tensors[len(self._tensors)] = tensor.detach()
            if len(self._tensors) == self._count:
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
            pass

    @contextmanager
    def _same_draws(self) -> Iterator[None]:
        if self._random is None:
            yield
            return
        state, devices, states = self._random
        kind = self._x.device.type
        with torch.random.fork_rng(devices, device_type=kind):
            torch.set_rng_state(state)
            set_device_states(devices, states, device_type=kind)
            yield
