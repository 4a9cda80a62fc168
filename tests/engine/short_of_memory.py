"""An engine whose memory runs out: ``short_of_memory.py STEP MOST train RUN_DIR``.

From update STEP on, a micro-batch of more than MOST pictures fails with the words of torch's CPU
allocator. Trials before the training are updates of step 0.
"""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor

from vixtui.engine import learner
from vixtui.engine.__main__ import end, main

WORDS = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 268435456 bytes. Error code 12 (Cannot allocate memory)"
)


def run_short(first_step: int, most: int) -> None:
    """Make updates fail in their last micro-batch, the gradients of the others in place."""
    accumulate, augment = learner.Learner.accumulate, learner.augment
    step = left = 0

    def counting(self: learner.Learner, images: Tensor, *rest: Any, **named: Any) -> Any:
        nonlocal step, left
        rows = self._group.rows(len(images))
        step, left = named["step"], rows.stop - rows.start
        return accumulate(self, images, *rest, **named)

    def failing(images: Tensor, **settings: Any) -> Tensor:
        nonlocal left
        left -= len(images)
        if step >= first_step and len(images) > most and left == 0:
            raise RuntimeError(WORDS)
        return augment(images, **settings)

    learner.Learner.accumulate = counting  # type: ignore[method-assign]
    learner.augment = failing


if __name__ == "__main__":
    run_short(int(sys.argv.pop(1)), int(sys.argv.pop(1)))
    end(main())
