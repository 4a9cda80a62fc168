"""What a stage is made of: blocks of token mixer and MLP, pooling, and how much is recomputed.

Letters: b pictures, n tokens, d embed_dim.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from vixtui.models.config import Recompute, StageConfig
from vixtui.models.mixers import build_mixer
from vixtui.models.mixers.performer import Performer
from vixtui.models.mlp import Mlp
from vixtui.models.positions import rotations
from vixtui.models.recompute import recomputed


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)) (ViT, Dosovitskiy et al. 2021, equations 2, 3)."""

    def __init__(self, stage: StageConfig, index: int, recompute: Recompute) -> None:
        super().__init__()
        model = stage.model
        # Nothing reads the other tokens of the last block: they need not be computed.
        self.only_class_token = stage.class_token and index + 1 == stage.depth
        self.mixer_norm = nn.LayerNorm(stage.embed_dim)
        self.mixer = build_mixer(
            stage, **({"only_class_token": True} if self.only_class_token else {})
        )
        self.mlp_norm = nn.LayerNorm(stage.embed_dim)
        self.mlp = Mlp(stage.embed_dim, model.mlp_ratio, model.dropout)
        earlier = sum(other.depth for other in model.stages[: stage.index])
        rise = (earlier + index) / max(1, model.num_blocks - 1)
        self.drop_path = DropPath(model.drop_path * rise)
        self.recompute = recompute
        self.draws = model.dropout > 0 or model.drop_path > 0
        if isinstance(self.mixer, Performer):
            self.mixer.keep_features = recompute == "fast"

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or (b, 1, d), the class token, if that is all that is read."""
        if self.recompute == "block" and torch.is_grad_enabled():
            return recomputed(partial(self._whole, rotations=rotations), x, draws=self.draws)
        return self._whole(x, rotations)

    def _whole(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        x = self._read(x) + self.drop_path(self.mixer(self.mixer_norm(x), rotations))
        if self.recompute == "mlp" and torch.is_grad_enabled():
            return x + recomputed(self._mlp_branch, x, draws=self.draws)
        return x + self._mlp_branch(x)

    def _read(self, x: Tensor) -> Tensor:
        return x[:, :1] if self.only_class_token else x

    def _mlp_branch(self, x: Tensor) -> Tensor:
        return self.drop_path(self.mlp(self.mlp_norm(x)))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): a branch is left out for some of the pictures."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """(b, n, d) → (b, n, d), the expected value kept."""
        if not self.training or self.probability == 0:
            return branch
        keep = 1 - self.probability
        kept = torch.empty(len(branch), 1, 1, device=branch.device).bernoulli_(keep) / keep
        return branch * kept.to(branch.dtype)


class ShrinkingAttention(nn.Module):
    """Attention from every few rows and columns to all tokens, so that the map shrinks.

    LeViT (Graham et al. 2021, "shrinking attention blocks"). There is no residual branch: input and
    output differ in size.
    """

    rotations: Tensor | None

    def __init__(self, previous: StageConfig, stage: StageConfig) -> None:
        super().__init__()
        between = replace(
            previous,
            in_channels=previous.embed_dim,
            embed_dim=stage.embed_dim,
            num_heads=stage.num_heads,
        )
        self.grid = (stage.rows, stage.columns)
        self.norm = nn.LayerNorm(previous.embed_dim)
        self.mixer = build_mixer(between, query_stride=stage.model.stage_stride)
        table = rotations(between) if stage.model.rotary else None
        self.register_buffer("rotations", table, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns)."""
        tokens = self.norm(x.flatten(2).transpose(1, 2))  # (b, n, c)
        shrunk: Tensor = self.mixer(tokens, self.rotations)  # (b, q, d)
        return shrunk.transpose(1, 2).unflatten(2, self.grid)


class SequencePooling(nn.Module):
    """The mean of the tokens, weighted by a softmax of learned scores (CCT, section 3.2)."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(embed_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, n, d) → (b, d)."""
        scores = self.score(x)  # (b, n, 1)
        precise = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.to(precise).softmax(1).to(x.dtype)
        return (weights.transpose(1, 2) @ x).squeeze(1)
