"""MLP-Mixer (Tolstikhin et al. 2021, equation 1): a perceptron across the tokens."""

from __future__ import annotations

from torch import Tensor, nn

from vixtui.models.config import StageConfig


class TokenMlp(nn.Module):
    """Two layers along n with a GELU between; weights grow with n².

    Convolutions of width 1 whose channels are the tokens: no transposition, and faster on a CPU
    than matrix products.
    """

    def __init__(self, stage: StageConfig) -> None:
        n, dropout = stage.num_tokens, stage.model.dropout
        hidden = max(1, round(n * stage.model.mlp_ratio))
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(n, hidden, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(hidden, n, 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        mixed: Tensor = self.layers(x)
        return mixed
