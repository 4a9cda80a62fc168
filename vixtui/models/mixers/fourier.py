"""FNet (Lee-Thorp et al. 2022, equation 3): the real part of a Fourier transform as mixer.

Re F_tokens(F_channels(x)), scaled to keep the norm: FNet itself normalises after the residual sum,
a pre-norm block must keep the two branches alike in size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vixtui.models.config import ModelConfig


class Fourier(nn.Module):
    """No weights; time grows with n·log n."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, angles: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d)."""
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        mixed: Tensor = self.dropout(torch.fft.fft2(precise, norm="ortho").real)
        return mixed.to(x.dtype)
