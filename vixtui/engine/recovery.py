"""Going on after memory ran out: with fewer pictures at a time, then with more recomputing."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from vixtui.engine.device import NO_ROOM_FOR_CODE, out_of_memory
from vixtui.engine.heap import give_back_freed_memory
from vixtui.engine.learner import Learner
from vixtui.engine.limit import make_room
from vixtui.errors import DoesNotFitError
from vixtui.models.config import Recompute
from vixtui.runs.ways import smaller

T = TypeVar("T")

# Autograd's thread lets go of a failed step a moment after the failure is known.
_LET_GO_SECONDS = 0.1


class Recovery:
    """Does work anew, each time in less memory, until it fits.

    Args:
        learner: whose `micro_batch` and `recompute` change.
        device: where it learns.
        on_change: called with their new values, before the work is done anew.
    """

    def __init__(
        self, learner: Learner, device: torch.device, on_change: Callable[[int, Recompute], None]
    ) -> None:
        self._learner, self._device, self._on_change = learner, device, on_change
        self._thread: ThreadPoolExecutor | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; it must start from the same place each time.

        Raises:
            DoesNotFitError: when memory runs out in the smallest way to do it, too.
        """
        while True:
            try:
                return self._thread.submit(_as_here(work)).result() if self._thread else work()
            except Exception as error:
                if not out_of_memory(error):
                    raise
                no_room_for_code = NO_ROOM_FOR_CODE in str(error)
            # Not inside the handler: the traceback would keep the failed step alive.
            self._release()
            if no_room_for_code:
                self._take_new_thread()
            following = smaller(self._learner.micro_batch, self._learner.recompute)
            if following is None:
                raise DoesNotFitError(
                    "memory ran out, even one picture at a time with all blocks recomputed",
                    remedy="choose a smaller preset, smaller pictures or a larger --budget",
                )
            self._learner.micro_batch, self._learner.recompute = following
            self._on_change(*following)

    def _release(self) -> None:
        self._learner.forget()
        if self._device.type != "cpu":
            time.sleep(_LET_GO_SECONDS)
        gc.collect()
        if self._device.type == "cpu":
            give_back_freed_memory()
            make_room(self._device)
        else:
            torch.get_device_module(self._device).empty_cache()

    def _take_new_thread(self) -> None:
        """Work in another thread from now on.

        oneDNN's code generator keeps an error for each thread (``Xbyak::GetError``): where memory
        for code ran out, it makes none any more, however much memory there is.
        """
        if self._thread:
            self._thread.shutdown()
        make_room(self._device, threads=torch.get_num_threads())
        self._thread = ThreadPoolExecutor(max_workers=1)


def _as_here(work: Callable[[], T]) -> Callable[[], T]:
    """Return `work` for another thread, on as many threads as this one: torch counts for each."""
    threads = torch.get_num_threads()

    def on_as_many() -> T:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        return work()

    return on_as_many
