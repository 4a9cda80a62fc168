"""The Vision Xformer: embedding, positions, blocks of token mixer and MLP, pooled head.

Letters: b pictures, c channels, (h, w) pixels, n tokens, d embed_dim, e head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.config import ModelConfig
from vixtui.models.embedding import build_embedding
from vixtui.models.mixers import build_mixer
from vixtui.models.positions import rotations


def build(config: ModelConfig) -> VisionXFormer:
    """Return a new model with random weights from torch's global generator."""
    return VisionXFormer(config)


class VisionXFormer(nn.Module):
    """Pre-norm transformer encoder with an exchangeable token mixer (Jeevan & Sethi 2022)."""

    angles: Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = build_embedding(config)
        self.class_token = (
            nn.Parameter(torch.zeros(1, 1, config.embed_dim)) if config.pooling == "class" else None
        )
        self.positions = (
            nn.Parameter(torch.zeros(1, config.num_tokens, config.embed_dim))
            if config.positions == "learned"
            else None
        )
        angles = rotations(config) if config.rotary else None
        self.register_buffer("angles", angles, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.depth))
        self.norm = nn.LayerNorm(config.embed_dim)
        self.head = nn.Linear(config.embed_dim, config.num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) normalised pictures → (b, classes) logits."""
        x = self.embedding(images).flatten(2).transpose(1, 2)  # (b, n, d)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(len(x), -1, -1).to(x.dtype), x), dim=1)
        if self.positions is not None:
            x = x + self.positions
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, self.angles)
        x = self.norm(x)
        pooled = x.mean(1) if self.class_token is None else x[:, 0]  # (b, d)
        logits: Tensor = self.head(pooled)
        return logits

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
                nn.init.zeros_(module.bias)
        if self.positions is not None:
            nn.init.trunc_normal_(self.positions, std=0.02)
        if self.class_token is not None:
            nn.init.trunc_normal_(self.class_token, std=0.02)


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        hidden = round(config.embed_dim * config.mlp_ratio)
        self.mixer_norm = nn.LayerNorm(config.embed_dim)
        self.mixer = build_mixer(config)
        self.mlp_norm = nn.LayerNorm(config.embed_dim)
        self.mlp = nn.Sequential(
            nn.Linear(config.embed_dim, hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(hidden, config.embed_dim),
            nn.Dropout(config.dropout),
        )
        self.drop_path = DropPath(config.drop_path * index / max(1, config.depth - 1))

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        x = x + self.drop_path(self.mixer(self.mixer_norm(x), angles))
        return x + self.drop_path(self.mlp(self.mlp_norm(x)))


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
