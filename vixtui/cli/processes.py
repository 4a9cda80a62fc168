"""Options of a training in several processes, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vixtui.planning.types import Budget
    from vixtui.runs.process import Nodes

MAX_PROCESSES = 1024
Nproc = Annotated[
    int,
    typer.Option(
        "--nproc", help="Processes on this machine, one a GPU or a core.", min=1, max=MAX_PROCESSES
    ),
]
ResumedNproc = Annotated[
    int | None,
    typer.Option(
        "--nproc", help="Processes, if not as many as before.", min=1, max=MAX_PROCESSES
    ),
]  # fmt: skip
Nnodes = Annotated[
    int, typer.Option("--nnodes", help="Machines that train together.", min=1, max=MAX_PROCESSES)
]
NodeRank = Annotated[
    int,
    typer.Option(
        "--node-rank", help="This machine's number; 0 keeps the run.", min=0, max=MAX_PROCESSES
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--rdzv-endpoint", help="Address of machine 0, for all.", metavar="HOST:PORT"
    ),
]  # fmt: skip


def parse_nodes(nnodes: int, node_rank: int, endpoint: str | None) -> Nodes:
    """Return the machines that the options name.

    Raises:
        UsageError: when they do not go together.
    """
    from vixtui.errors import UsageError
    from vixtui.runs.process import ONE_NODE, Nodes

    if node_rank >= nnodes:
        raise UsageError(
            f"there is no machine {node_rank} of {nnodes}",
            where="--node-rank",
            remedy="machines count from 0",
        )
    if nnodes == 1:
        if endpoint is not None:
            raise UsageError(
                "one machine meets nobody", where="--rdzv-endpoint", remedy="give --nnodes, too"
            )
        return ONE_NODE
    host, _, port = (endpoint or "").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UsageError(
            "machines meet at an address",
            where="--rdzv-endpoint",
            remedy="give all of them HOST:PORT of machine 0",
        )
    return Nodes(nnodes, node_rank, f"{host}:{port}")


def share_of_batch(batch_size: int, images: int, processes: int) -> int:
    """Return the most pictures of an update that one process computes.

    Args:
        batch_size: pictures an update.
        images: training pictures.
        processes: of all machines.

    Raises:
        UsageError: when there is not one for each.
    """
    from vixtui.runs.config import pictures_an_update

    pictures_an_update(batch_size, images, processes)
    return -(-batch_size // processes)


def share_of(budget: Budget, nproc: int) -> Budget:
    """Return what each process may use: processes share the host's memory, not a GPU's.

    Args:
        budget: of all processes of this machine, or of each GPU.
        nproc: processes of this machine.

    Raises:
        UsageError: when torch.distributed has no backend for the device.
    """
    from vixtui.errors import UsageError

    family = budget.device.partition(":")[0]
    if family not in ("cpu", "cuda", "rocm"):
        raise UsageError(
            "several processes train on CPUs or on NVIDIA or AMD GPUs",
            where=f"--nproc, {budget.device}",
            remedy="leave --nproc out, or try --device cpu",
        )
    if family != "cpu":
        return budget
    return replace(
        budget,
        bytes=budget.bytes // nproc,
        source=f"{budget.source}, for each of {nproc} processes",
    )
