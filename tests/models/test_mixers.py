"""Each mixer equals the textbook formula, written out naively in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vixtui.models.config import ModelConfig
from vixtui.models.mixers import build_mixer
from vixtui.models.mixers.nystromformer import pseudo_inverse
from vixtui.models.positions import rotate, rotations

MIXERS = ("softmax", "nystromformer", "performer", "linformer", "fourier", "mlp")


def config(mixer: str, **changes: object) -> ModelConfig:
    values = {
        "token_mixer": mixer,
        "embedding": "linear",
        "positions": "none",
        "image_height": 8,
        "image_width": 8,
        "in_channels": 3,
        "num_classes": 5,
        "patch_size": 2,
        "embed_dim": 16,
        "depth": 2,
        "num_heads": 2,
        "landmarks": 4,
        "projection_rank": 6,
        "random_features": 12,
    }
    return ModelConfig(**{**values, **changes})  # type: ignore[arg-type]


def split_heads(mixer: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(b, n, d) → q, k, v (b, h, n, e), by slicing columns."""
    projected = x @ mixer.heads.to_qkv.weight.T
    width = x.shape[-1]
    heads, size = mixer.heads.num_heads, width // mixer.heads.num_heads
    parts = []
    for index in range(3):
        columns = projected[..., index * width : (index + 1) * width]
        parts.append(
            torch.stack([columns[..., h * size : (h + 1) * size] for h in range(heads)], 1)
        )
    return parts[0], parts[1], parts[2]


def merge_heads(mixer: torch.nn.Module, heads: Tensor) -> Tensor:
    joined = torch.cat(list(heads.unbind(1)), dim=-1)
    return joined @ mixer.heads.to_output.weight.T + mixer.heads.to_output.bias


def reference_softmax(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    q, k, v = split_heads(mixer, x)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    return merge_heads(mixer, scores.softmax(-1) @ v)


def reference_linformer(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    q, k, v = split_heads(mixer, x)
    k = torch.einsum("kn,bhne->bhke", mixer.project_keys, k)
    v = torch.einsum("kn,bhne->bhke", mixer.project_values, v)
    scores = torch.einsum("bhne,bhke->bhnk", q, k) / math.sqrt(q.shape[-1])
    return merge_heads(mixer, scores.softmax(-1) @ v)


def reference_nystromformer(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    q, k, v = split_heads(mixer, x)
    scale, m = math.sqrt(q.shape[-1]), mixer.landmarks
    q_land = torch.stack([part.mean(2) for part in q.chunk(m, dim=2)], 2)
    k_land = torch.stack([part.mean(2) for part in k.chunk(m, dim=2)], 2)
    left = (q @ k_land.transpose(-1, -2) / scale).softmax(-1)
    middle = (q_land @ k_land.transpose(-1, -2) / scale).softmax(-1)
    right = (q_land @ k.transpose(-1, -2) / scale).softmax(-1)
    out = left @ pseudo_inverse(middle) @ right @ v
    kernel, tokens = mixer.residual.weight[:, 0, :, 0], x.shape[1]
    half = kernel.shape[1] // 2
    for h in range(kernel.shape[0]):
        for n in range(tokens):
            for offset in range(-half, half + 1):
                if 0 <= n + offset < tokens:
                    out[:, h, n] = out[:, h, n] + kernel[h, offset + half] * v[:, h, n + offset]
    return merge_heads(mixer, out)


def reference_performer(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    q, k, v = split_heads(mixer, x)
    w, eps = mixer.projection, 1e-4

    def phi(values: Tensor, keys: bool) -> Tensor:
        scaled = values / values.shape[-1] ** 0.25
        logits = torch.einsum("bhne,re->bhnr", scaled, w)
        if keys:
            logits = logits - scaled.pow(2).sum(-1, keepdim=True) / 2
            return torch.exp(logits - logits.amax((2, 3), keepdim=True).detach()) + eps
        return torch.exp(logits - logits.amax(3, keepdim=True).detach()) + eps

    attention = phi(q, False) @ phi(k, True).transpose(-1, -2)  # the n×n matrix, here on purpose
    return merge_heads(mixer, attention / attention.sum(-1, keepdim=True) @ v)


def reference_fourier(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    def matrix(size: int) -> Tensor:
        index = torch.arange(size, dtype=torch.float64)
        return torch.exp(-2j * math.pi * index[:, None] * index / size) / math.sqrt(size)

    return (matrix(x.shape[1]) @ x.to(torch.complex128) @ matrix(x.shape[2])).real


def reference_mlp(mixer: torch.nn.Module, x: Tensor) -> Tensor:
    hidden = torch.einsum("bnd,tn->btd", x, mixer.expand.weight) + mixer.expand.bias[:, None]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return torch.einsum("btd,nt->bnd", hidden, mixer.reduce.weight) + mixer.reduce.bias[:, None]


REFERENCES = {
    "softmax": reference_softmax,
    "linformer": reference_linformer,
    "nystromformer": reference_nystromformer,
    "performer": reference_performer,
    "fourier": reference_fourier,
    "mlp": reference_mlp,
}


@pytest.mark.parametrize("name", MIXERS)
def test_mixer_equals_the_textbook_formula_with_all_gradients(name: str) -> None:
    torch.manual_seed(0)
    mixer = build_mixer(config(name)).double()
    x = torch.randn(3, 16, 16, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 16, 16, dtype=torch.float64)
    parameters = [x, *mixer.parameters()]
    got, wanted = mixer(x, None), REFERENCES[name](mixer, x)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad((got * weight).sum(), parameters),
        torch.autograd.grad((wanted * weight).sum(), parameters),
        strict=True,
    ):
        scale = theirs.abs().max()
        assert (ours - theirs).abs().max() <= 1e-12 * scale + 1e-14


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("nystromformer", "landmarks", (1, 4, 16)),
        ("performer", "random_features", (16, 256, 4096)),
    ],
)
def test_approximation_approaches_softmax_attention(
    name: str, option: str, values: tuple[int, ...]
) -> None:
    x = torch.randn(8, 16, 16, dtype=torch.float64, generator=torch.manual_seed(0))
    errors = []
    for value in values:
        torch.manual_seed(1)
        mixer = build_mixer(config(name, **{option: value})).double()
        if name == "nystromformer":
            torch.nn.init.zeros_(mixer.residual.weight)
        errors.append((mixer(x, None) - reference_softmax(mixer, x)).norm().item())
    assert errors[0] > 2 * errors[1] > 2 * errors[2] or errors[2] < 0.2 * errors[0]
    assert errors[2] < errors[1] < errors[0]


def test_pseudo_inverse_inverts_a_softmax_matrix() -> None:
    scores = torch.randn(4, 6, 6, dtype=torch.float64, generator=torch.manual_seed(0))
    matrix = (scores + 8 * torch.eye(6)).softmax(-1)
    product = pseudo_inverse(matrix) @ matrix
    torch.testing.assert_close(product, torch.eye(6).double().expand(4, 6, 6), atol=1e-4, rtol=0)


@pytest.mark.parametrize("positions", ["rotary", "rotary-2d"])
def test_rotation_makes_attention_depend_on_offsets_only(positions: str) -> None:
    angles = rotations(config("softmax", positions=positions)).double()  # 4×4 tokens
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    n = angles.shape[0]
    scores = rotate(q.expand(1, 1, n, 8), angles) @ rotate(k.expand(1, 1, n, 8), angles).mT
    scores = scores[0, 0]
    torch.testing.assert_close(scores[0, 5], scores[5, 10])  # one row and one column further
    torch.testing.assert_close(scores[0, 1], scores[9, 10])
    assert not torch.isclose(scores[0, 1], scores[0, 4])


def test_class_token_is_not_rotated() -> None:
    angles = rotations(config("softmax", positions="rotary", pooling="class"))
    assert angles.shape[0] == 17
    assert angles[0].abs().max() == 0
