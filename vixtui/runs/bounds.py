"""How much a model that a file describes may ask for, known before anything is built."""

from __future__ import annotations

from vixtui.models.config import ModelConfig, StageConfig

MAX_NUMBERS = 2**28
"""In the largest array that one picture needs: 1 GB, far above any preset at any size."""


def check_size(model: ModelConfig) -> None:
    """Make sure that a prediction takes gigabytes at most.

    Raises:
        ValueError: when a single array of it would hold more than `MAX_NUMBERS`.
    """
    most_heads = max(stage.num_heads for stage in model.stages)
    numbers = max(_largest_array(stage, most_heads) for stage in model.stages)
    if numbers > MAX_NUMBERS:
        raise ValueError(f"the model would compute with {numbers:.2g} numbers at once")


def least_weights(model: ModelConfig) -> int:
    """Return how many weights a model has at least; all of them stand in its file."""
    stages = model.stages
    return sum(_stage_weights(stage) for stage in stages) + stages[-1].embed_dim * model.num_classes


def _largest_array(stage: StageConfig, heads: int) -> float:
    model, n, d = stage.model, stage.num_tokens, stage.embed_dim
    hidden = n * d * max(3, model.mlp_ratio)  # three are queries, keys and values
    stem = model.image_height * model.image_width * d / model.patch_size
    mixing = {
        "performer": heads * n * stage.random_features,
        "nystromformer": heads * stage.landmarks**2,
    }.get(model.token_mixer, 0)
    # Scores with their bias, and the offsets that each block keeps, as 64-bit integers.
    bias = max(heads, 2 * stage.depth) * n**2 if model.positions == "attention-bias" else 0
    return max(hidden, stem, mixing, bias)


def _stage_weights(stage: StageConfig) -> int:
    model, n, d = stage.model, stage.num_tokens, stage.embed_dim
    mixing = {
        "mlp": 2 * n * max(1, round(n * model.mlp_ratio)),
        "linformer": n * stage.projection_rank,
    }.get(model.token_mixer, 0)
    positions = n * d if model.positions == "learned" else 0
    return stage.depth * (2 * d * round(d * model.mlp_ratio) + mixing) + positions
