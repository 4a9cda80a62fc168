"""The formulas of the papers, written down without a thought of speed: n×n matrices and loops.

Each takes the weights of a mixer, its stage and tokens (b, n, d), and returns what it must return.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

import torch
from torch import Tensor

from vixtui.models.config import StageConfig

EPSILON = 1e-4


def mixed(mixer: Any, stage: StageConfig, x: Tensor, query_stride: int = 1) -> Tensor:
    """Return the tokens as the configured mixer must mix them."""
    kind = stage.model.token_mixer
    if kind == "fourier":
        return fourier(x)
    if kind == "fourier-2d":
        return fourier_2d(x, stage.rows, stage.columns)
    if kind == "mlp":
        return token_mlp(mixer, x)
    if kind == "linformer":
        return linformer(mixer, stage, x)
    queries = strided(stage, query_stride)
    q, k, v = queries_keys_values(mixer.heads, stage, x, queries, query_stride)
    if kind == "softmax":
        bias = offset_bias(mixer.bias.weight, stage, queries) if mixer.bias is not None else 0
        heads = softmax_attention(q, k, v, bias)
    elif kind == "performer":
        heads = performer(q, k, v, mixer.projection)
    else:
        local = convolution(v, mixer.residual)[:, :, queries]
        heads = nystromformer(q, k, v, mixer.landmarks) + local
    return merged(mixer.heads.merge, heads)


# Attention


def softmax_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | int = 0) -> Tensor:
    """softmax(q kᵀ / √e + bias) v."""
    return softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + bias) @ v


def nystromformer(q: Tensor, k: Tensor, v: Tensor, landmarks: int) -> Tensor:
    """The product of three matrices, the n×n one included, from means of segments."""
    landmarks = min(landmarks, q.shape[2])
    q_land = torch.stack([part.mean(2) for part in torch.tensor_split(q, landmarks, 2)], 2)
    k_land = torch.stack([part.mean(2) for part in torch.tensor_split(k, landmarks, 2)], 2)
    scale = math.sqrt(q.shape[-1])
    left = softmax(q @ k_land.transpose(-1, -2) / scale)
    middle = softmax(q_land @ k_land.transpose(-1, -2) / scale)
    right = softmax(q_land @ k.transpose(-1, -2) / scale)
    return left @ pseudo_inverse(middle) @ right @ v


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Six steps of Nyströmformer's equation 11, for each matrix by itself."""
    one = torch.eye(matrix.shape[-2], dtype=matrix.dtype)
    columns, rows = matrix.abs().sum(-2).amax(-1), matrix.abs().sum(-1).amax(-1)
    z = matrix.transpose(-1, -2) / (columns * rows)[..., None, None]
    for _ in range(6):
        az = matrix @ z
        z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) / 4
    return z


def convolution(v: Tensor, kernel: Tensor) -> Tensor:
    """Each output token is a sum over the taps that lie within the picture."""
    tokens, taps = v.shape[2], kernel.shape[1]
    outputs = []
    for n in range(tokens):
        inside = [tap for tap in range(taps) if 0 <= n + tap - taps // 2 < tokens]
        outputs.append(sum(kernel[:, tap, None] * v[:, :, n + tap - taps // 2] for tap in inside))
    return torch.stack(outputs, 2)


def performer(q: Tensor, k: Tensor, v: Tensor, projection: Tensor) -> Tensor:
    """Attention as an n×n matrix of products of features."""

    def features(x: Tensor, dims: tuple[int, ...], subtract_norm: bool) -> Tensor:
        scaled = x / x.shape[-1] ** 0.25
        logits = torch.einsum("bhne,re->bhnr", scaled, projection)
        if subtract_norm:
            logits = logits - scaled.pow(2).sum(-1, keepdim=True) / 2
        return torch.exp(logits - logits.amax(dims, keepdim=True).detach()) + EPSILON

    attention = features(q, (3,), False) @ features(k, (2, 3), True).transpose(-1, -2)
    return attention / attention.sum(-1, keepdim=True) @ v


def linformer(mixer: Any, stage: StageConfig, x: Tensor) -> Tensor:
    """Keys and values at full length, then projected along the tokens."""
    turns = rotations(stage)
    q = rotated(columns_of_heads(x @ mixer.to_q.weight.T, stage.head_dim), turns)
    k = rotated(columns_of_heads(x @ mixer.to_k.weight.T, stage.head_dim), turns)
    k = torch.einsum("kn,bhne->bhke", mixer.project_keys, k)
    v = k
    if not stage.model.share_kv:
        v = columns_of_heads(x @ mixer.to_v.weight.T, stage.head_dim)
        v = torch.einsum("kn,bhne->bhke", mixer.project_values, v)
    heads = [
        softmax_attention(q[:, h], k[:, h % k.shape[1]], v[:, h % v.shape[1]])
        for h in range(q.shape[1])
    ]
    return merged(mixer.merge, torch.stack(heads, 1))


# Queries, keys, values


def queries_keys_values(
    heads: Any, stage: StageConfig, x: Tensor, queries: list[int], query_stride: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(b, h, q, e), (b, h, k, e), (b, h, k, e), the first two rotated."""
    d = stage.embed_dim
    if query_stride > 1:
        q = x[:, queries] @ heads.to_q.weight.T
        k, v = x @ heads.to_kv.weight[:d].T, x @ heads.to_kv.weight[d:].T
    elif stage.model.projection == "conv":
        q, k, v = (
            depthwise_3x3(x, stage, convolution.weight, 1 if index == 0 else stage.model.key_stride)
            @ linear.weight.T
            for index, (convolution, linear) in enumerate(
                zip(heads.convolutions, heads.maps, strict=True)
            )
        )
    else:
        q, k, v = (x @ heads.to_qkv.weight[i * d : (i + 1) * d].T for i in range(3))
    q, k, v = (columns_of_heads(one, stage.head_dim) for one in (q, k, v))
    turns = rotations(stage)
    if turns is None:
        return q, k, v
    return rotated(q, turns[queries]), rotated(k, turns), v


def strided(stage: StageConfig, stride: int) -> list[int]:
    """Every token, or those of every so-manieth row and column."""
    if stride == 1:
        return list(range(stage.num_tokens))
    return [
        row * stage.columns + column
        for row in range(0, stage.rows, stride)
        for column in range(0, stage.columns, stride)
    ]


def columns_of_heads(x: Tensor, head_dim: int) -> Tensor:
    """(b, n, h·e) → (b, h, n, e)."""
    heads = [x[..., start : start + head_dim] for start in range(0, x.shape[-1], head_dim)]
    return torch.stack(heads, 1)


def merged(merge: Any, heads: Tensor) -> Tensor:
    """(b, h, n, e) → (b, n, d)."""
    return torch.cat(heads.unbind(1), -1) @ merge.to_output.weight.T + merge.to_output.bias


def depthwise_3x3(x: Tensor, stage: StageConfig, weight: Tensor, stride: int) -> Tensor:
    """Each output is a sum over those of its nine neighbours that lie within the map."""
    outputs = []
    for row in range(0, stage.rows, stride):
        for column in range(0, stage.columns, stride):
            total = torch.zeros_like(x[:, 0])
            for i in range(3):
                for j in range(3):
                    r, c = row + i - 1, column + j - 1
                    if 0 <= r < stage.rows and 0 <= c < stage.columns:
                        total = total + weight[:, 0, i, j] * x[:, r * stage.columns + c]
            outputs.append(total)
    return torch.stack(outputs, 1)


# Positions


def rotations(stage: StageConfig) -> Tensor | None:
    """A complex number of length one for each token and channel pair, (n, e/2)."""
    pairs = stage.head_dim // 2
    if stage.model.positions == "rotary":
        turns = [
            [cmath.exp(1j * token * 10_000 ** (-pair / pairs)) for pair in range(pairs)]
            for token in range(stage.rows * stage.columns)
        ]
    elif stage.model.positions == "rotary-2d":
        half = pairs // 2
        turns = [
            [cmath.exp(1j * position * 10_000 ** (-pair / half))
             for position in (row, column) for pair in range(half)]
            for row in range(stage.rows) for column in range(stage.columns)
        ]  # fmt: skip
    else:
        return None
    if stage.class_token:
        turns.insert(0, [1] * pairs)
    return torch.tensor(turns, dtype=torch.complex128)


def rotated(x: Tensor, turns: Tensor | None) -> Tensor:
    """Channels 2i and 2i + 1 as real and imaginary part, multiplied."""
    if turns is None:
        return x
    product = torch.complex(x[..., 0::2], x[..., 1::2]) * turns
    return torch.stack((product.real, product.imag), -1).flatten(-2)


def offset_bias(weight: Tensor, stage: StageConfig, queries: list[int]) -> Tensor:
    """(h, q, k): the weight of the absolute offset in rows and columns."""

    def number(q: int, k: int) -> int:
        rows = abs(q // stage.columns - k // stage.columns)
        return rows * stage.columns + abs(q % stage.columns - k % stage.columns)

    keys = range(stage.rows * stage.columns)
    return torch.stack(
        [torch.stack([weight[:, number(q, k)] for k in keys], 1) for q in queries], 1
    )


# The rest


def softmax(scores: Tensor) -> Tensor:
    """exp(s) / Σ exp(s)."""
    powers = torch.exp(scores - scores.amax(-1, keepdim=True).detach())
    return powers / powers.sum(-1, keepdim=True)


def fourier(x: Tensor) -> Tensor:
    """Re F_n x F_d with the full matrices, scaled to keep the norm."""
    return (dft(x.shape[1]) @ x.to(torch.complex128) @ dft(x.shape[2])).real


def fourier_2d(x: Tensor, rows: int, columns: int) -> Tensor:
    """The same with a matrix for the rows and one for the columns."""
    image = x.unflatten(1, (rows, columns)).to(torch.complex128)
    mixed = torch.einsum("ir,jc,brcd,dk->bijk", dft(rows), dft(columns), image, dft(x.shape[2]))
    return mixed.real.flatten(1, 2)


def dft(size: int) -> Tensor:
    """The matrix of the discrete Fourier transform over √size."""
    rows = [
        [cmath.exp(-2j * math.pi * i * k / size) / math.sqrt(size) for k in range(size)]
        for i in range(size)
    ]
    return torch.tensor(rows, dtype=torch.complex128)


def token_mlp(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    """W₂ gelu(W₁ x + b₁) + b₂, with matrices that act on the tokens."""
    first, second = (layer for layer in mixer.modules() if isinstance(layer, torch.nn.Conv1d))
    hidden = first.weight[:, :, 0] @ x + first.bias[:, None]
    hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return second.weight[:, :, 0] @ hidden + second.bias[:, None]
