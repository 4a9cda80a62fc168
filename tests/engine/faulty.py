"""An engine of several processes, one with a fault: ``faulty.py FAULT RANK train RUN_DIR N``.

Each process notes the pictures that it decodes in RUN_DIR/decoded-RANK, and at the end of its
training the hash of its weights in RUN_DIR/weights-RANK.

Faults: ``none``; ``nan`` (the loss of its rows is no number in the updates of `SPOILT`, once each);
``memory:MOST`` (from the second epoch on, a micro-batch of more than MOST pictures fails);
``disk:COUNT`` (no state is written after so many); ``die:SIGNAL`` (by its second update, in each of
two lives, after which the group is given up).
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import short_of_memory

from vixtui.data import store
from vixtui.data.split import Item
from vixtui.engine import agent, loop, state, storage
from vixtui.engine.__main__ import end, main
from vixtui.engine.learner import Learner, Sums
from vixtui.errors import DiskError
from vixtui.runs.config import DataConfig

SPOILT = [3, 24, 25, 26]
SECOND_EPOCH = 19


def spoil_losses() -> None:
    accumulate, left = Learner.accumulate, list(SPOILT)

    def spoiling(self: Learner, *arguments: Any, step: int, **named: Any) -> Sums:
        sums = accumulate(self, *arguments, step=step, **named)
        if step not in left:
            return sums
        left.remove(step)
        for parameter in self.model.parameters():
            parameter.grad *= float("nan")
        return replace(sums, loss_sum=sums.loss_sum * float("nan"))

    Learner.accumulate = spoiling  # type: ignore[method-assign]


def fill_disk(count: int) -> None:
    save, saved = storage.save_tensors, []

    def saving(path: Path, *arguments: Any, **named: Any) -> int:
        if len(saved) == count:
            raise DiskError("the disk is full", where=path, remedy="free some space and resume")
        saved.append(path)
        return save(path, *arguments, **named)

    state.save_tensors = saving


def die(number: int) -> None:
    apply = Learner.apply

    def dying(self: Learner, *, step: int, lr: float) -> None:
        if step == 1:
            os.kill(os.getpid(), number)
        apply(self, step=step, lr=lr)

    Learner.apply = dying  # type: ignore[method-assign]


def note_weights(folder: Path, rank: str) -> None:
    fit = loop.Loop.fit

    def noting(self: loop.Loop) -> str | None:
        reason = fit(self)
        digest = storage._digest({}, self._setup.learner.tensors().items())
        (folder / f"weights-{rank}").write_text(digest)
        return reason

    loop.Loop.fit = noting  # type: ignore[method-assign]


def note_decoding(folder: Path, rank: str) -> None:
    load, notes = store.load_picture, (folder / f"decoded-{rank}").open("w", buffering=1)

    def noting(data: DataConfig, item: Item) -> Any:
        print(item, file=notes)
        return load(data, item)

    store.load_picture = noting


def lead(fault: str, rank: str) -> None:
    """Let the processes that the agent starts be of this program."""
    spec = agent.WorkerSpec

    def of_this_program(*, args: tuple[str, ...], **named: Any) -> agent.WorkerSpec:
        return spec(args=(__file__, fault, rank, *args[2:]), **named)

    agent.WorkerSpec = of_this_program  # type: ignore[assignment, misc]
    if fault.startswith("die"):
        agent._MAX_RESTARTS = 1


def work(fault: str, rank: str, folder: Path) -> None:
    note_weights(folder, os.environ["RANK"])
    note_decoding(folder, os.environ["RANK"])
    if os.environ["RANK"] != rank:
        return
    kind, _, number = fault.partition(":")
    if kind == "nan":
        spoil_losses()
    elif kind == "memory":
        short_of_memory.run_short(SECOND_EPOCH, int(number))
    elif kind == "disk":
        fill_disk(int(number))
    elif kind == "die":
        die(int(number))


if __name__ == "__main__":
    chosen, place = sys.argv.pop(1), sys.argv.pop(1)
    if sys.argv[1] == "work":
        work(chosen, place, Path(sys.argv[2]))
    else:
        lead(chosen, place)
    end(main())
