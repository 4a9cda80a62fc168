"""The tricky parts of the mixers, each against the plain way to write it."""

from __future__ import annotations

import math

import pytest
import textbook
import torch
import torch.nn.functional as F
from comparing import EXACT, assert_same, config, normal, relative_error, rotate
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vixtui.models.mixers import build_mixer
from vixtui.models.mixers.depthwise import convolve_tokens
from vixtui.models.mixers.fourier import _RealFourier, real_fourier
from vixtui.models.mixers.nystromformer import pseudo_inverse, segment_means
from vixtui.models.mixers.performer import orthogonal_features, redraw_features
from vixtui.models.positions import rotations


def stochastic(rows: int, columns: int, sharpness: float = 1.0) -> Tensor:
    """Softmax matrices (2, 3, rows, columns)."""
    return (sharpness * normal(2, 3, rows, columns)).softmax(-1)


# Nyströmformer


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_the_pseudo_inverse_follows_its_formula_with_its_gradient(size: int) -> None:
    assert_same(
        lambda scores: pseudo_inverse(scores.softmax(-1)),
        lambda scores: textbook.pseudo_inverse(scores.softmax(-1)),
        normal(2, 3, size, size),
        [],
        EXACT,
    )


def test_the_pseudo_inverse_inverts() -> None:
    matrix = (normal(2, 3, 6, 6) + 8 * torch.eye(6)).softmax(-1)
    one = torch.eye(6, dtype=torch.float64).expand(2, 3, 6, 6)
    assert relative_error(pseudo_inverse(matrix) @ matrix, one) <= 1e-9


def test_each_matrix_has_its_own_scale() -> None:
    flat, sharp = stochastic(4, 4, 0.1), stochastic(4, 4, 10.0)
    together = pseudo_inverse(torch.stack((flat, sharp)))
    assert relative_error(together[0], pseudo_inverse(flat)) <= EXACT
    assert relative_error(together[1], pseudo_inverse(sharp)) <= EXACT


@given(data=st.data(), tokens=st.integers(1, 50))
@settings(deadline=None, max_examples=50)
def test_segments_cover_every_token_once(data: st.DataObject, tokens: int) -> None:
    segments = data.draw(st.integers(1, tokens))
    x = normal(2, 3, tokens, 4)
    parts = torch.tensor_split(x, segments, dim=2)
    wanted = torch.stack([part.mean(2) for part in parts], 2)
    assert relative_error(segment_means(x, segments), wanted) <= EXACT


@pytest.mark.parametrize("tokens", [1, 2, 5, 31, 32, 33, 63, 64, 65, 128, 192, 197])
@pytest.mark.parametrize("taps", [1, 3, 33])
def test_the_banded_convolution_equals_the_library_with_gradients(tokens: int, taps: int) -> None:
    kernel = normal(3, taps, seed=3).requires_grad_()
    assert_same(
        lambda x: convolve_tokens(x, kernel),
        lambda x: F.conv2d(x, kernel[:, None, :, None], padding=(taps // 2, 0), groups=3),
        normal(2, 3, tokens, 5),
        [kernel],
        EXACT,
    )


def test_the_banded_convolution_takes_any_memory_layout() -> None:
    kernel = normal(3, 33, seed=3)
    x = normal(2, 70, 15).unflatten(-1, (3, 5)).transpose(1, 2)  # as split_heads returns it
    wanted = convolve_tokens(x.contiguous(), kernel)
    assert torch.equal(convolve_tokens(x, kernel), wanted)
    expanded = x[:1].expand(2, -1, -1, -1)
    assert torch.equal(convolve_tokens(expanded, kernel)[1], wanted[0])


# FNet


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (7, 5), (8, 6), (6, 5), (5, 6)])
def test_half_a_fourier_transform_is_enough(shape: tuple[int, int]) -> None:
    x = normal(2, *shape)
    assert relative_error(real_fourier(x), textbook.fourier(x)) <= EXACT
    image = normal(2, 3, *shape)
    flat = textbook.fourier_2d(image.flatten(1, 2), 3, shape[0])
    assert relative_error(real_fourier(image).flatten(1, 2), flat) <= EXACT


def test_the_fourier_mixer_has_first_and_second_derivatives() -> None:
    x = normal(1, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(_RealFourier.apply, x)
    assert torch.autograd.gradgradcheck(_RealFourier.apply, x)


def test_the_fourier_mixer_keeps_the_size_of_its_input() -> None:
    x = normal(8, 64, 32)
    ratio = real_fourier(x).square().mean() / x.square().mean()
    assert 0.4 < ratio < 0.6  # half of the energy is in the imaginary part


# Performer


@pytest.mark.parametrize("features", [1, 5, 8, 20])
def test_random_features_are_orthogonal_in_blocks(features: int) -> None:
    directions = orthogonal_features(features, 8)
    assert directions.shape == (features, 8)
    for block in directions.split(8):
        products = block @ block.T
        lengths = block.norm(dim=1)
        assert (products - torch.diag(lengths.square())).abs().max() <= 1e-4


def test_random_features_are_as_long_as_gaussian_vectors() -> None:
    torch.manual_seed(0)
    squares = orthogonal_features(4000, 8).square().sum(1)
    assert squares.mean().item() == pytest.approx(8, rel=0.05)
    assert squares.var().item() == pytest.approx(16, rel=0.2)


def test_random_features_look_in_every_direction_alike() -> None:
    # The signs that a QR decomposition picks by itself leave means of 0.03 instead of 0.
    torch.manual_seed(0)
    directions = torch.nn.functional.normalize(orthogonal_features(40_000, 8))
    assert directions.mean(0).abs().max() < 0.01
    assert relative_error(directions.T @ directions / 5000, torch.eye(8).double()) < 0.02


def test_redrawn_features_differ_and_are_saved_with_the_weights() -> None:
    mixer = build_mixer(config("performer").stages[0])
    before = mixer.state_dict()["projection"].clone()
    redraw_features(mixer, torch.Generator().manual_seed(1))
    after = mixer.state_dict()["projection"].clone()
    assert not torch.equal(before, after)
    redraw_features(mixer, torch.Generator().manual_seed(1))
    assert torch.equal(mixer.state_dict()["projection"], after)


def test_performer_stands_scores_far_beyond_the_range_of_exp() -> None:
    stage = config("performer").stages[0]
    mixer = build_mixer(stage)
    x = 300 * normal(2, stage.num_tokens, 16).float()
    assert mixer(x, None).isfinite().all()


# Positions


@pytest.mark.parametrize("positions", ["rotary", "rotary-2d"])
@pytest.mark.parametrize("pooling", ["mean", "class"])
def test_rotations_are_powers_of_one_complex_number(positions: str, pooling: str) -> None:
    stage = config(positions=positions, pooling=pooling).stages[0]
    wanted = torch.view_as_real(textbook.rotations(stage))
    assert rotations(stage).dtype == torch.float32
    assert (rotations(stage).double() - wanted).abs().max() <= 1e-7


@pytest.mark.parametrize("positions", ["rotary", "rotary-2d"])
def test_rotated_scores_depend_on_offsets_only(positions: str) -> None:
    stage = config(positions=positions, image_height=8, image_width=8).stages[0]  # 4×4 tokens
    turns = torch.view_as_real(textbook.rotations(stage))
    q, k = (vector.expand(1, 1, 16, 8) for vector in normal(2, 8))
    scores = (rotate(q, turns) @ rotate(k, turns).mT)[0, 0]
    torch.testing.assert_close(scores[0, 5], scores[5, 10])  # one row and one column further
    torch.testing.assert_close(scores[0, 1], scores[9, 10])
    assert not torch.isclose(scores[0, 1], scores[0, 4])


def test_a_class_token_is_not_rotated() -> None:
    table = rotations(config(positions="rotary", pooling="class").stages[0])
    assert table[0].tolist() == [[1, 0]] * 4


def test_rotation_keeps_lengths_and_half_precision() -> None:
    table = rotations(config(positions="rotary-2d").stages[0])
    x = normal(2, 2, 35, 8)
    assert relative_error(rotate(x, table).norm(dim=-1), x.norm(dim=-1)) <= 1e-6
    rotated = rotate(x.bfloat16(), table)
    assert rotated.dtype == torch.bfloat16
    assert relative_error(rotated, rotate(x, table)) <= 2**-7


def test_mirrored_offsets_share_a_bias() -> None:
    mixer = build_mixer(config("softmax", positions="attention-bias").stages[0])
    torch.nn.init.normal_(mixer.bias.weight)
    scores = mixer.bias()
    assert torch.equal(scores, scores.mT)
    assert math.prod(mixer.bias.weight.shape) == 2 * 35
