"""FNet (Lee-Thorp et al. 2022, equation 3): the real part of a Fourier transform as mixer.

Re F_tokens(F_channels(x)); ``fourier-2d`` transforms rows and columns of the token map apart, as
the paper's 2D-FNet does. Scaled to keep the norm: FNet itself normalises after the residual sum, a
pre-norm block must keep the two branches alike in size.

Letters: b pictures, n tokens, (r, s) rows and columns of tokens, d embed_dim.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vixtui.models.config import StageConfig


class Fourier(nn.Module):
    """No weights; time grows with n·log n."""

    def __init__(self, stage: StageConfig, only_class_token: bool = False) -> None:
        super().__init__()
        on_map = stage.model.token_mixer == "fourier-2d"
        self.grid = (stage.rows, stage.columns) if on_map else (stage.num_tokens,)
        self.only_class_token = only_class_token
        self.dropout = nn.Dropout(stage.model.dropout)

    def forward(self, x: Tensor, rotations: Tensor | None) -> Tensor:
        """(b, n, d) → (b, n, d), or (b, 1, d)."""
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        if self.only_class_token:  # the first token's frequency along the tokens is 0
            mixed = _RealFourier.apply(precise.sum(1, keepdim=True) / x.shape[1] ** 0.5)
        else:
            mixed = _RealFourier.apply(precise.unflatten(1, self.grid)).flatten(1, -2)
        output: Tensor = self.dropout(mixed.to(x.dtype))
        return output


class _RealFourier(torch.autograd.Function):
    """`real_fourier`; the map is linear and symmetric, so its gradient is the map itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return real_fourier(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        mixed: Tensor = _RealFourier.apply(gradient)
        return mixed


def real_fourier(x: Tensor) -> Tensor:
    """Return the real part of the Fourier transform of (b, n, d), or (b, r, s, d), but the first.

    Of a real input only the first half of the channels is computed: the other half are conjugates,
    Re Y[a, d − j] = Re Y[−a, j].
    """
    token_dims = tuple(range(1, x.ndim - 1))
    half = torch.fft.rfftn(x, dim=(*token_dims, -1), norm="ortho").real  # (b, n, d // 2 + 1)
    mirrored = half[..., 1 : (x.shape[-1] + 1) // 2].flip((*token_dims, -1))
    return torch.cat((half, mirrored.roll((1,) * len(token_dims), token_dims)), -1)
