"""A depth-wise convolution along the tokens, one kernel a head, as products with a band matrix.

A CPU's convolution is slow for a few channels: it pads them to sixteen. Cut into blocks of tokens,
the same convolution is a product of each block, and its margins, with one small Toeplitz matrix.
On other devices, where this was not measured, it is left to the library.

Letters: b pictures, h heads, n tokens, e head_dim, t taps, w = block + t − 1 tokens of a window.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 64


def convolve_tokens(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the convolution of (b, h, n, e) with (h, t) along n, t odd, zeros beyond the ends."""
    if x.device.type != "cpu":
        heads, taps = kernel.shape
        weight = kernel[:, None, :, None].to(x.dtype)  # (h, 1, t, 1)
        return F.conv2d(x, weight, padding=(taps // 2, 0), groups=heads)
    convolved: Tensor = _BandedConvolution.apply(x, kernel)
    return convolved


class _BandedConvolution(torch.autograd.Function):
    """Keeps its inputs alone; the gradient of x is a convolution with the kernel turned around."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(x, kernel)
        return _products(_windows(x, kernel.shape[1]), kernel, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, kernel = ctx.saved_tensors
        taps = kernel.shape[1]
        windows, to_windows = _windows(x, taps), _windows(gradient, taps)
        to_x = _products(to_windows, kernel.flip(1), x)
        # A tap's gradient is the sum of a diagonal of the band matrix's.
        to_bands = torch.stack(
            [
                torch.tensordot(to_outputs[:, taps // 2 :][:, :_BLOCK], inputs, ([0, 2], [0, 2]))
                for to_outputs, inputs in zip(to_windows, windows, strict=True)
            ]
        )  # (h, block, w)
        heads, _, width = to_bands.shape
        diagonals = to_bands.as_strided((heads, _BLOCK, taps), (_BLOCK * width, width + 1, 1))
        return to_x, diagonals.sum(1).to(kernel.dtype)


def _windows(x: Tensor, taps: int) -> list[Tensor]:
    """Return, for each head, the blocks of tokens with their margins, (blocks, w, e).

    Every picture is followed by zeros up to a whole block and one more, so that the windows of all
    pictures are evenly spaced in memory and overlap without a copy.
    """
    b, heads, n, e = x.shape
    rows = (_blocks(n) + 1) * _BLOCK
    padded = x.new_empty(b, rows, heads, e)
    padded[:, : taps // 2] = 0
    padded[:, taps // 2 : taps // 2 + n] = x.transpose(1, 2)
    padded[:, taps // 2 + n :] = 0
    size = (b * rows // _BLOCK - 1, _BLOCK + taps - 1, e)
    stride = (_BLOCK * heads * e, heads * e, 1)
    return [padded.as_strided(size, stride, head * e) for head in range(heads)]


def _products(windows: list[Tensor], kernel: Tensor, like: Tensor) -> Tensor:
    """Return (b, h, n, e) as `like`, the heads of a token side by side in memory."""
    b, heads, n, e = like.shape
    blocks = windows[0].shape[0]
    out = like.new_empty(b * (_blocks(n) + 1), _BLOCK, heads, e)
    for head, band in enumerate(_bands(kernel.to(like.dtype))):
        out[:blocks, :, head] = torch.bmm(band.expand(blocks, -1, -1), windows[head])
    return out.view(b, -1, heads, e)[:, :n].transpose(1, 2)


def _bands(kernel: Tensor) -> Tensor:
    """(h, t) → (h, block, w) with kernel[c − r] in row r and column c."""
    padded = F.pad(kernel, (_BLOCK - 1, _BLOCK - 1))
    return padded.unfold(1, _BLOCK + kernel.shape[1] - 1, 1).flip(1)


def _blocks(tokens: int) -> int:
    return -(-tokens // _BLOCK)
