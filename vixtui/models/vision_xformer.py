"""The Vision Xformer: stages of embedding, positions and blocks, then a pooled head.

Letters: b pictures, c channels, (h, w) pixels or tokens before, (rows, columns) tokens after,
n tokens, d embed_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.blocks import Block, SequencePooling, ShrinkingAttention
from vixtui.models.config import ModelConfig, Recompute, StageConfig
from vixtui.models.embedding import build_embedding
from vixtui.models.outline import has_values
from vixtui.models.positions import rotations


def build(config: ModelConfig, *, recompute: Recompute = "none") -> VisionXFormer:
    """Return a new model with random weights from torch's global generator.

    Args:
        config: what the model is.
        recompute: what a training step computes twice to need less memory; the gradients are the
            same at every level, dropout included.
    """
    return VisionXFormer(config, recompute)


class VisionXFormer(nn.Module):
    """Pre-norm transformer encoder with an exchangeable token mixer (Jeevan & Sethi 2022)."""

    def __init__(self, config: ModelConfig, recompute: Recompute = "none") -> None:
        super().__init__()
        self.pooling = config.pooling
        self.stages = nn.ModuleList(Stage(stage, recompute) for stage in config.stages)
        width = config.stages[-1].embed_dim
        self.norm = nn.LayerNorm(width)
        self.sequence_pooling = SequencePooling(width) if self.pooling == "sequence" else None
        self.head = nn.Linear(width, config.num_classes)
        if has_values():
            self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) normalised pictures → (b, classes) logits."""
        x = images
        for stage in self.stages:
            x = stage(x)  # (b, d, rows, columns); the last one's (b, n, d) or (b, 1, d)
        x = self.norm(x)
        if self.sequence_pooling is not None:
            pooled = self.sequence_pooling(x)  # (b, d)
        else:
            pooled = x[:, 0] if self.pooling == "class" else x.mean(1)
        logits: Tensor = self.head(pooled)
        return logits

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)


class Stage(nn.Module):
    """All that happens on one grid of tokens."""

    rotations: Tensor | None

    def __init__(self, stage: StageConfig, recompute: Recompute) -> None:
        super().__init__()
        model, d = stage.model, stage.embed_dim
        self.grid = (stage.rows, stage.columns)
        self.is_last = stage.index + 1 == len(model.stages)
        self.embedding = (
            ShrinkingAttention(model.stages[stage.index - 1], stage)
            if stage.index and model.downsampling == "attention"
            else build_embedding(stage)
        )
        self.class_token = nn.Parameter(torch.zeros(1, 1, d)) if stage.class_token else None
        self.positions = (
            nn.Parameter(torch.zeros(1, stage.num_tokens, d))
            if model.positions == "learned"
            else None
        )
        for parameter in (self.class_token, self.positions):
            if parameter is not None:
                nn.init.trunc_normal_(parameter, std=0.02)
        table = rotations(stage) if model.rotary else None
        self.register_buffer("rotations", table, persistent=False)
        self.dropout = nn.Dropout(model.dropout)
        self.blocks = nn.ModuleList(Block(stage, index, recompute) for index in range(stage.depth))

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns); the last stage's (b, n, d) or the class token."""
        x = self.embedding(x).flatten(2).transpose(1, 2)  # (b, n, d)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(x.shape[0], -1, -1).to(x.dtype), x), dim=1)
        if self.positions is not None:
            x = x + self.positions
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, self.rotations)
        return x if self.is_last else x.transpose(1, 2).unflatten(2, self.grid)
