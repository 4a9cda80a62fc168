"""What a training asks of an allocator, joined from the traces of its parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from vixtui.memory.allocator import Allocate, Event, Free
from vixtui.memory.linear import NOTHING, Linear
from vixtui.memory.tape import EDGE, WORKSPACE, Mark, Work


@dataclass(frozen=True, slots=True)
class Training:
    """What the parts of a training ask of the allocator.

    Args:
        setup: weights, averages and moments, made once.
        inputs, learning: of a micro-batch.
        gradients: (position in `learning`, block) of each gradient that is finished there.
        updating: what follows the last micro-batch.
        evaluation: of as many pictures as the engine evaluates at once.
    """

    setup: tuple[Mark, ...]
    inputs: tuple[Mark, ...]
    learning: tuple[Mark, ...]
    gradients: tuple[tuple[int, int], ...]
    updating: tuple[Mark, ...]
    evaluation: tuple[Mark, ...]

    def marks(self, first: Training, *, accumulate: bool) -> tuple[Mark, ...]:
        """Return two steps, an evaluation and a step, after a gradient that is forgotten.

        Args:
            first: with which that gradient is computed.
            accumulate: two micro-batches a step, between which gradients stay.
        """
        replay = _Replay()
        replay.play(self.setup)
        replay.play(first.inputs)
        replay.play(first.learning)
        replay.play(mark for mark in first.updating if mark[0] in replay.names)
        for step in range(3):
            replay.play(self.inputs)
            replay.play(self.learning)
            if accumulate:
                self._once_more(replay)
            replay.play(self.updating)
            if step == 1:
                replay.play(self.evaluation)
        return tuple(replay.marks)

    def _once_more(self, replay: _Replay) -> None:
        """Another micro-batch: its gradients are added up and let go of."""
        kept = {block: replay.names.pop(block) for _, block in self.gradients}
        earlier = [
            replay.names.pop(block)
            for block, size in (*self.inputs, *self.learning)
            if size is not None and block in replay.names and block != WORKSPACE
        ]
        replay.play(self.inputs)
        replay.marks += ((name, None) for name in earlier)
        start = 0
        for position, block in self.gradients:
            replay.play(self.learning[start:position])
            replay.free(block)
            start = position
        replay.play(self.learning[start:])
        replay.names |= kept


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one step does, for any micro-batch.

    Args:
        parameters: number of weights.
        one: training with a picture at a time, some of whose tensors need not be copied.
        many: training with any number.
        work: of a micro-batch.
        update_work: of what follows the last one.
    """

    parameters: int
    one: Training
    many: Training
    work: Work
    update_work: Work

    def script(self, *, accumulate: bool = False) -> Script:
        """Return what training asks of the allocator.

        Before the first step the engine tries one picture.

        Args:
            accumulate: two micro-batches a step, between which gradients stay.
        """
        return Script(
            *(part.marks(self.one, accumulate=accumulate) for part in (self.one, self.many))
        )


@dataclass(frozen=True, slots=True)
class Script:
    """What a training asks of the allocator, with one picture at a time, and with any number."""

    one: tuple[Mark, ...]
    many: tuple[Mark, ...]

    def events(self, micro_batch: int) -> list[Event]:
        """Return it for micro-batches of so many pictures."""
        return [
            Free(name) if size is None else Allocate(name, size.at(micro_batch))
            for name, size in (self.one if micro_batch == 1 else self.many)
            if name != EDGE
        ]

    def peaks(self, micro_batches: Iterable[int], *, block: int = 1) -> list[int]:
        """Return the most that is allocated at once, for each size, in blocks of so many bytes."""
        return list(map(max, self.peaks_apart(micro_batches, block=block)))

    def peaks_apart(self, micro_batches: Iterable[int], *, block: int = 1) -> list[tuple[int, int]]:
        """Return the same while there are tokens, and while there are pictures alone."""
        one, many = _Sizes(self.one), _Sizes(self.many)
        return [(one if batch == 1 else many).peaks(batch, block) for batch in micro_batches]


class _Sizes:
    """The sizes of marks, as tensors."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        places: dict[int, int] = {}
        of: list[int] = []
        sign, among_tokens, within = [], [], False
        for name, size in marks:
            if name == EDGE:
                within = not within
                continue
            if size is not None:
                places[name] = len(of)
            of.append(places[name])
            sign.append(-1 if size is None else 1)
            among_tokens.append(within)
        marks = [mark for mark in marks if mark[0] != EDGE]
        sizes = [size for _, size in marks]
        known = [size if isinstance(size, Linear) else NOTHING for size in sizes]
        self._fixed = torch.tensor([size.fixed for size in known])
        self._each = torch.tensor([size.each for size in known])
        self._of, self._sign = torch.tensor(of), torch.tensor(sign)
        self._among_tokens = torch.tensor(among_tokens)
        self._buffers = [
            (place, size)
            for place, size in enumerate(sizes)
            if size is not None and not isinstance(size, Linear)
        ]

    def peaks(self, batch: int, block: int) -> tuple[int, int]:
        """Return the most that is allocated at once among tokens, and elsewhere."""
        taken = self._fixed + self._each * batch
        for place, size in self._buffers:
            taken[place] = size.at(batch)
        taken = (taken + block - 1) // block * block
        live = (taken[self._of] * self._sign).cumsum(0)
        tokens, others = live * self._among_tokens, live * ~self._among_tokens
        return int(tokens.max()), int(others.max())


class _Replay:
    """Joins marks: every block gets a name of its own each time it is allocated."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.names: dict[int, int] = {}

    def play(self, marks: Iterable[Mark]) -> None:
        for block, size in marks:
            if block == EDGE:
                self.marks.append((EDGE, None))
            elif size is None:
                self.free(block)
            elif block != WORKSPACE or block not in self.names:
                self.names[block] = name = len(self.marks)
                self.marks.append((name, size))

    def free(self, block: int) -> None:
        self.marks.append((self.names.pop(block), None))
