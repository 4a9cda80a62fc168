"""What approximates attention approaches it as it is given more landmarks, features or rank."""

from __future__ import annotations

from typing import Any

import textbook
import torch
from comparing import EXACT, config, normal, relative_error
from torch import Tensor

from vixtui.models.config import StageConfig
from vixtui.models.mixers import build_mixer
from vixtui.models.mixers.performer import orthogonal_features


def attention(mixer: Any, x: Tensor) -> Tensor:
    """What softmax attention makes of the same queries, keys and values."""
    q, k, v = mixer.heads.split(x, None)
    return mixer.heads.merge(textbook.softmax_attention(q, k, v))


def stage_of(mixer: str, **changes: Any) -> StageConfig:
    """Return a stage of 64 tokens."""
    return config(mixer, image_height=16, image_width=16, **changes).stages[0]


def smooth_tokens() -> Tensor:
    """Tokens that resemble their neighbours, as those of pictures do, (4, 64, 16)."""
    return torch.nn.functional.normalize(normal(4, 64, 16).cumsum(1), dim=-1) * 4


def test_nystromformer_approaches_attention_with_more_landmarks() -> None:
    torch.manual_seed(0)
    mixer = build_mixer(stage_of("nystromformer")).double()
    torch.nn.init.zeros_(mixer.residual)
    x, errors = smooth_tokens(), []
    for landmarks in (1, 4, 16, 64):  # more than the eighth that a description may ask for
        mixer.landmarks = landmarks
        errors.append(relative_error(mixer(x, None), attention(mixer, x)))
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] < 0.02


def test_performer_approaches_attention_with_more_features() -> None:
    torch.manual_seed(0)
    mixer = build_mixer(stage_of("performer")).double()
    x, errors = normal(4, 64, 16) / 2, []
    for features in (8, 128, 2048, 32768):
        mixer.projection = orthogonal_features(features, 8).double()
        errors.append(relative_error(mixer(x, None), attention(mixer, x)))
    # The error of a mean of r samples falls with √r: from one to the next by four on average.
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 8 * errors[3]
    assert errors[3] < 0.01


def test_linformer_approaches_attention_with_more_rank() -> None:
    torch.manual_seed(0)
    mixer = build_mixer(stage_of("linformer")).double()
    x, errors = smooth_tokens(), []
    projected = (linear(x) for linear in (mixer.to_q, mixer.to_k, mixer.to_v))
    q, k, v = (textbook.columns_of_heads(one, 8) for one in projected)
    wanted = mixer.merge(textbook.softmax_attention(q, k, v))
    for rank in (4, 16, 32, 64):
        means = torch.eye(64, dtype=torch.float64).unflatten(0, (rank, -1)).mean(1)
        mixer.project_keys = mixer.project_values = torch.nn.Parameter(means)  # of neighbours
        errors.append(relative_error(mixer(x, None), wanted))
    assert errors[0] > errors[1] > errors[2] > errors[3]
    assert errors[3] <= EXACT  # as many rows as tokens: the identity
