"""Fine-tuning: the weights of a file put into a new model, the head by class names."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.engine.weights import load_weights
from vixtui.errors import WeightsError
from vixtui.files import sha256_of
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import VisionXFormer
from vixtui.runs.config import RunConfig

_HEAD = ("head.weight", "head.bias")


@torch.no_grad()
def take_over(model: VisionXFormer, config: RunConfig) -> None:
    """Replace a new model's weights by those of the file that its run begins with.

    Rows of the head are kept for classes of the same name, and stay random for others. Learned
    positions are interpolated when the grid of tokens is another.

    Raises:
        UsageError: when the file is gone.
        WeightsError: when it is not the one that the run was planned with, or does not fit.
    """
    assert config.init is not None
    path = Path(config.init.file)
    source, card = load_weights(path)
    if sha256_of(path) != config.init.sha256:
        raise WeightsError(
            "the file has changed since the run was planned", where=path, remedy="train anew"
        )
    theirs, mine = source.state_dict(), model.state_dict()
    for name, tensor in mine.items():
        found = theirs.get(name)
        if name in _HEAD and found is not None:
            for row, label in enumerate(config.data.classes):
                if label in card.classes:
                    tensor[row] = found[card.classes.index(label)]
            continue
        if found is not None and found.shape != tensor.shape and name.endswith(".positions"):
            found = _interpolated(found, card.model, config.model, int(name.split(".")[1]))
        if found is None or found.shape != tensor.shape:
            raise WeightsError(f"no place for its {name} in the new model", where=path)
        tensor.copy_(found)


def _interpolated(table: Tensor, old: ModelConfig, new: ModelConfig, index: int) -> Tensor:
    """(1, n, d) → (1, n', d): rows and columns stretched, a class token's place kept."""
    before, after = old.stages[index], new.stages[index]
    special = int(before.class_token)
    grid = table[:, special:].unflatten(1, (before.rows, before.columns)).permute(0, 3, 1, 2)
    grid = F.interpolate(
        grid, (after.rows, after.columns), mode="bicubic", align_corners=False
    )  # (1, d, rows', columns')
    return torch.cat((table[:, :special], grid.flatten(2).transpose(1, 2)), 1)
