"""Processes that train one model together: each computes its rows of every batch.

Gradients are summed by one explicit all-reduce after the last micro-batch, not by
``DistributedDataParallel``: that averages means, which is wrong for uneven shares, communicates
inside the backward pass, which must be free to be done anew when memory runs out, and clips no
sum. Here every process divides by the whole batch, the sum is clipped, and one process's
micro-batches are no other's concern.

What a process decides by its clock or by what it is asked, the first decides for all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from math import inf

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

# Others wait so long for one that validates, or does its part of anything, more slowly.
_TIMEOUT = timedelta(minutes=10)


class PeerLostError(Exception):
    """Another process of the group is gone."""


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of a run, and this one's place; made without arguments, it is alone.

    Every method must be called by all processes, in the same order; alone, none costs anything.

    Args:
        rank: 0 is the first process, which alone writes into the run's directory.
        size: processes on all machines.
        local_rank, local_size: the same on this machine.
        here: the processes of this machine to torch, if there are others.

    Raises:
        PeerLostError: from every method that communicates, when another process is gone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    here: dist.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this process writes and decides."""
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """Return this process's share of `count` rows; shares differ by one row at most."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def decide(self, value: float) -> float:
        """Return the value of the first process."""
        return self.largest([value if self.first else -inf])[0]

    def largest(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over all processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        _reduce(tensor, dist.ReduceOp.MAX)
        return [float(value) for value in tensor.tolist()]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        _reduce(flat, dist.ReduceOp.SUM)
        sums = flat.split([tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, sums, strict=True):
            tensor.copy_(total.view_as(tensor))

    def gather(self, part: Tensor, count: int) -> Tensor:
        """Return all `count` rows, in order, from each process's `rows` of them."""
        if self.size == 1:
            return part
        whole = part.new_zeros((count, *part.shape[1:]))
        whole[self.rows(count)] = part
        _reduce(whole, dist.ReduceOp.SUM)
        return whole

    def hand_out(self, content: bytes) -> bytes:
        """Return the bytes of the first process."""
        length = int(self.decide(len(content)))
        tensor = _as_tensor(content if self.first else bytes(length))
        self.copy_from_first([tensor])
        return tensor.numpy().tobytes()

    def exchange_here(self, content: bytes) -> list[bytes]:
        """Return the bytes of each process of this machine, in order; no other one takes part."""
        if self.local_size == 1:
            return [content]
        lengths = torch.zeros(self.local_size, dtype=torch.int64)
        lengths[self.local_rank] = len(content)
        _reduce(lengths, dist.ReduceOp.SUM, self.here)
        parts = [
            _as_tensor(content if place == self.local_rank else bytes(length))
            for place, length in enumerate(lengths.tolist())
        ]
        for place, part in enumerate(parts):
            with _peers():
                dist.broadcast(part, src=self.rank - self.local_rank + place, group=self.here)
        return [part.numpy().tobytes() for part in parts]

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        for tensor in tensors if self.size > 1 else ():
            with _peers():
                dist.broadcast(tensor, src=0)


ALONE = Group()


@contextmanager
def _peers() -> Iterator[None]:
    """Give the loss of a process its name."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(str(error)) from error


def _reduce(
    tensor: Tensor, operation: dist.ReduceOp.RedOpType, group: dist.ProcessGroup | None = None
) -> None:
    with _peers():
        dist.all_reduce(tensor, op=operation, group=group)


def _as_tensor(content: bytes) -> Tensor:
    if not content:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def join() -> Group:
    """Become one of a group, as the environment set by the elastic agent says.

    What is on the CPU goes through gloo, what is on a GPU through NCCL.
    """
    rank, size, local_rank, local_size, port = (
        int(os.environ[name])
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
    )
    nccl = dist.is_nccl_available() and torch.cuda.is_available()
    with _peers():
        # The agent's store outlives a restart, and would name the ports of dead processes.
        store = TCPStore(os.environ["MASTER_ADDR"], port, is_master=False, timeout=_TIMEOUT)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if nccl else "gloo",
            store=PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store),
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
    group = Group(rank, size, local_rank, local_size)
    return group if local_size == size else replace(group, here=_own_machine(group))


def _own_machine(group: Group) -> dist.ProcessGroup:
    """Return the processes of this one's machine; ranks of a machine follow each other."""
    firsts = torch.zeros(group.size, dtype=torch.int64)
    firsts[group.rank] = group.rank - group.local_rank
    _reduce(firsts, dist.ReduceOp.SUM)
    made = {  # by all processes, also those of other machines
        first: dist.new_group(
            (firsts == first).nonzero()[:, 0].tolist(), timeout=_TIMEOUT, backend="gloo"
        )
        for first in firsts.unique().tolist()
    }
    own = made[group.rank - group.local_rank]
    assert isinstance(own, dist.ProcessGroup)
    return own
