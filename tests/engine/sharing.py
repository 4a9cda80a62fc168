"""One of several processes that share a batch: ``sharing.py RANK SIZE FOLDER``.

Writes the gradient in float64 and what was gathered into FOLDER/RANK.safetensors; one process of
size 1 writes what the others should.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from small_runs import make_run

from vixtui.engine.distributed import Group
from vixtui.engine.learner import Learner
from vixtui.runs.weights import Preprocessing

BATCH, UNEVEN = 25, 7


def share(rank: int, size: int, folder: Path) -> None:
    """Compute this process's part and add up with the others."""
    group = Group(rank, size, rank, size)
    run = make_run(
        run_id=f"{size}-{rank}",
        preset_name="vit:tiny",
        batch_size=BATCH,
        micro_batch=4 if size > 1 else BATCH,
        mixup=0.4,
        cutmix=0.4,
    )
    learner = Learner(
        run.config(), Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"), group
    )
    learner.model.double()
    normalise = learner._normalise
    learner._normalise = lambda values: normalise(values).double()  # type: ignore[assignment]
    chance = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (BATCH, 1, 8, 8), dtype=torch.uint8, generator=chance)
    labels = torch.arange(BATCH) % 10
    learner.weigh_classes(labels)
    update = learner.combine(learner.accumulate(images, labels, step=3))
    rows = torch.arange(UNEVEN * 2.0).view(UNEVEN, 2)
    save_file(
        {
            "gradient": torch.cat([p.grad.flatten() for p in learner.model.parameters()]),
            "loss_sum": update.loss_sum,
            "correct": update.correct,
            "grad_norm": update.grad_norm,
            "gathered": group.gather(rows[group.rows(UNEVEN)], UNEVEN),
            "largest": torch.tensor(group.largest([rank, -rank])),
            "exchanged": torch.tensor(list(b"".join(exchange(group)))),
            "decided": torch.tensor(group.decide(rank + 5)),
        },
        folder / f"{size}-{rank}.safetensors",
    )


def exchange(group: Group) -> list[bytes]:
    """Let the processes give each other texts of different length, and nothing."""
    assert group.exchange_here(b"") == [b""] * group.local_size
    return group.exchange_here(b"once " if group.first else b"and again")


if __name__ == "__main__":
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if size > 1:
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    share(rank, size, folder)
