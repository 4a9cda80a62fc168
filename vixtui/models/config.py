"""What defines a model: a frozen, JSON-able description, checked before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

TokenMixer = Literal[
    "softmax", "nystromformer", "performer", "linformer", "fourier", "fourier-2d", "mlp"
]
Embedding = Literal["linear", "conv", "conv-pool", "overlapping"]
Positions = Literal["learned", "rotary", "rotary-2d", "attention-bias", "none"]
Pooling = Literal["mean", "class", "sequence"]
Projection = Literal["linear", "conv"]
Downsampling = Literal["conv", "attention"]
Recompute = Literal["fast", "none", "mlp", "block"]
"""What a backward pass computes again instead of finding it kept: `block` everything inside a
block, `mlp` the MLP and its norm, `none` no more than is cheap, `fast` not even that."""

PerStage = int | tuple[int, ...]
"""One number for a model of one stage, or a number for each stage."""
Share = int | float
"""A count, or below 1 a share of the tokens."""

ATTENTION_MIXERS: frozenset[str] = frozenset({"softmax", "nystromformer", "performer", "linformer"})

# Bounds that keep a hostile file from asking for terabytes; far above what anyone trains here.
_BOUNDS: dict[str, tuple[float, float]] = {
    "image_height": (1, 1024),
    "image_width": (1, 1024),
    "num_classes": (2, 10_000),
    "patch_size": (1, 256),
    "embed_dim": (4, 2048),
    "depth": (1, 64),
    "num_heads": (1, 64),
    "mlp_ratio": (0.25, 8),
    "stage_stride": (1, 4),
    "stem_depth": (1, 8),
    "key_stride": (1, 8),
    "landmarks": (1e-4, 1024),
    "projection_rank": (1e-4, 1024),
    "random_features": (0, 4096),
    "dropout": (0, 0.9),
    "drop_path": (0, 0.9),
}
_MAX_TOKENS = 65_536
_MAX_STAGES = 4
_MAX_LANDMARK_SHARE = 1 / 8
_MAX_RANK_SHARE = 1 / 2


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Vision Xformer (Jeevan & Sethi 2022), whole enough to build it again.

    `embed_dim`, `depth` and `num_heads` are one number, or a number for each stage of a model that
    thins out its tokens from stage to stage (CvT, LeViT).

    Args:
        token_mixer: how tokens exchange information.
        embedding: `linear` patches (ViT), a `conv` stem ("hybrid" in the paper), a stem that halves
            by pooling (`conv-pool`, CCT), or one convolution of `overlapping` patches (CvT).
        positions: `learned` table, `rotary` over raster order (the paper), `rotary-2d` over rows
            and columns, an `attention-bias` by offset (LeViT), or `none`.
        pooling: `mean` over tokens, a `class` token, or a learned weighting of the `sequence`
            (CCT).
        projection: queries, keys and values by a `linear` map or by a depth-wise `conv` before it
            (CvT).
        downsampling: between stages, by an overlapping `conv` (CvT) or by `attention` with fewer
            queries than keys (LeViT).
        image_height, image_width: input size in pixels.
        in_channels: 1 (grey) or 3 (RGB).
        patch_size: pixels a token of the first stage stands for on each side; a power of two with
            a stem of several convolutions.
        embed_dim, depth, num_heads, mlp_ratio: as in ViT.
        stage_stride: tokens of a stage that become one of the next, on each side.
        stem_depth: number of 3×3 convolutions in a stem; log2(patch_size) of them halve the map.
        stem_activation: normalise and activate between the convolutions; the paper does not.
        key_stride: with a conv projection, keys and values are thinned out by this on each side.
        landmarks: Nyströmformer landmarks, at most an eighth of the tokens.
        projection_rank: Linformer's k, at most half of the tokens.
        share_kv: Linformer's values are its keys.
        one_kv_head: Linformer's keys and values are those of one head, shared by all.
        random_features: Performer features a head; 0 means head_dim · ln(head_dim). These three
            are counts, or below 1 shares of the number of tokens.
        dropout: after the embedding, in the mixer, after it, and twice in the MLP.
        drop_path: stochastic depth of the last block; rises linearly from 0.

    Raises:
        ValueError: for values out of bounds or at odds with each other.
    """

    token_mixer: TokenMixer
    embedding: Embedding
    positions: Positions
    image_height: int
    image_width: int
    in_channels: int
    num_classes: int
    patch_size: int
    embed_dim: PerStage
    depth: PerStage
    num_heads: PerStage
    mlp_ratio: float = 2.0
    pooling: Pooling = "mean"
    projection: Projection = "linear"
    downsampling: Downsampling = "conv"
    stage_stride: int = 2
    stem_depth: int = 3
    stem_activation: bool = True
    key_stride: int = 1
    landmarks: Share = 1 / 8
    projection_rank: Share = 1 / 4
    share_kv: bool = False
    one_kv_head: bool = False
    random_features: Share = 0
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        self._check_kinds()
        for name, (low, high) in _BOUNDS.items():
            for value in _as_tuple(getattr(self, name)):
                if not low <= value <= high:
                    raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value}")
        if self.in_channels not in (1, 3):
            raise ValueError(f"in_channels must be 1 or 3, not {self.in_channels}")
        lengths = {len(_as_tuple(value)) for value in (self.embed_dim, self.depth, self.num_heads)}
        if len(lengths) > 1 or max(lengths) > _MAX_STAGES:
            raise ValueError(
                "embed_dim, depth and num_heads need the same number of stages, "
                f"at most {_MAX_STAGES}"
            )
        self._check_combinations()
        for stage in self.stages:
            stage.check()

    def _check_kinds(self) -> None:
        for field in fields(self):
            value, kind = getattr(self, field.name), str(field.type)
            if kind in _CHOICES and value not in get_args(_CHOICES[kind]):
                choices = ", ".join(get_args(_CHOICES[kind]))
                raise ValueError(f"{field.name} must be one of {choices}, not {value}")
            entries = _as_tuple(value) if kind == "PerStage" else (value,)
            if kind == "bool":
                if not isinstance(value, bool):
                    raise ValueError(f"{field.name} must be true or false")
            elif not entries or any(isinstance(entry, bool) for entry in entries):
                raise ValueError(f"{field.name} must be a number")
            elif kind in ("int", "PerStage"):
                if not all(isinstance(entry, int) for entry in entries):
                    raise ValueError(f"{field.name} must be a whole number")
            elif kind in ("float", "Share") and not isinstance(value, int | float):
                raise ValueError(f"{field.name} must be a number")

    def _check_combinations(self) -> None:
        stem = self.embedding in ("conv", "conv-pool")
        halvings = self.patch_size.bit_length() - 1
        attention = self.token_mixer in ATTENTION_MIXERS
        for wrong, message in (
            (
                stem and self.patch_size != 1 << halvings,
                f"a stem needs a power of two as patch_size, not {self.patch_size}",
            ),
            (
                stem and self.stem_depth < halvings,
                f"patch_size {self.patch_size} needs stem_depth ≥ {halvings}",
            ),
            (
                self.rotary and not attention,
                f"{self.token_mixer} has no queries and keys to rotate",
            ),
            (
                self.positions == "attention-bias" and self.token_mixer != "softmax",
                f"{self.token_mixer} has no matrix of scores to add an attention-bias to",
            ),
            (
                self.pooling == "class" and self.token_mixer == "mlp",
                "an MLP-Mixer has no class token",
            ),
            (
                self.pooling == "class" and self.token_mixer == "fourier-2d",
                "a class token has no place on the map that fourier-2d transforms",
            ),
            (
                self.pooling == "class" and len(self._widths) > 1,
                "a class token needs a model of one stage",
            ),
            (
                self.pooling == "class" and self.positions == "attention-bias",
                "a class token has no offset for an attention-bias",
            ),
            (
                self.projection == "conv"
                and (not attention or self.token_mixer == "linformer" or self.pooling == "class"),
                "a conv projection needs softmax, nystromformer or performer, and no class token",
            ),
            (
                self.key_stride > 1
                and (self.projection == "linear" or self.token_mixer == "nystromformer"),
                "key_stride needs a conv projection, with softmax or performer",
            ),
            (
                self.key_stride > 1 and (self.rotary or self.positions == "attention-bias"),
                "key_stride goes with learned or no positions",
            ),
            (
                self.downsampling == "attention"
                and (not attention or self.token_mixer == "linformer" or self.stage_stride == 1),
                "downsampling by attention needs softmax, nystromformer or performer, "
                "and a stage_stride of 2 or more",
            ),
        ):
            if wrong:
                raise ValueError(message)

    @property
    def _widths(self) -> tuple[int, ...]:
        return _as_tuple(self.embed_dim)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the first stage's tokens; a partial patch is padded to a whole."""
        return _divide(self.image_height, self.patch_size), _divide(
            self.image_width, self.patch_size
        )

    @property
    def num_tokens(self) -> int:
        """Tokens of the first stage, the class token included."""
        rows, columns = self.grid
        return rows * columns + (self.pooling == "class")

    @property
    def num_blocks(self) -> int:
        """Blocks of all stages."""
        return sum(stage.depth for stage in self.stages)

    @property
    def rotary(self) -> bool:
        """Whether queries and keys are rotated."""
        return self.positions in ("rotary", "rotary-2d")

    @cached_property
    def stages(self) -> tuple[StageConfig, ...]:
        """The stages in order: one, unless `embed_dim` is a sequence."""
        rows, columns = self.grid
        stages: list[StageConfig] = []
        shapes = zip(self._widths, _as_tuple(self.depth), _as_tuple(self.num_heads), strict=True)
        for index, (embed_dim, depth, num_heads) in enumerate(shapes):
            if index:
                rows, columns = (_divide(side, self.stage_stride) for side in (rows, columns))
            stages.append(
                StageConfig(
                    model=self,
                    index=index,
                    in_channels=stages[-1].embed_dim if stages else self.in_channels,
                    embed_dim=embed_dim,
                    depth=depth,
                    num_heads=num_heads,
                    rows=rows,
                    columns=columns,
                )
            )
        return tuple(stages)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read a description; lists, as JSON and TOML have them, are taken for tuples.

        Raises:
            ValueError: for unknown, missing or unusable entries.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown model option: {', '.join(unknown)}")
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return cls(**options)
        except TypeError as error:
            raise ValueError("the model description is incomplete") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class StageConfig:
    """The part of a model that works on one grid of tokens; made by `ModelConfig.stages`.

    Args:
        model: what all stages share.
        index: 0 for the first.
        in_channels: of the map that the stage is given.
        embed_dim, depth, num_heads: of its blocks.
        rows, columns: its grid of tokens.
    """

    model: ModelConfig
    index: int
    in_channels: int
    embed_dim: int
    depth: int
    num_heads: int
    rows: int
    columns: int

    @property
    def head_dim(self) -> int:
        """Channels a head."""
        return self.embed_dim // self.num_heads

    @property
    def class_token(self) -> bool:
        """Whether the first token stands for the whole picture."""
        return self.model.pooling == "class"

    @property
    def num_tokens(self) -> int:
        """Tokens, the class token included."""
        return self.rows * self.columns + self.class_token

    @property
    def landmarks(self) -> int:
        """Nyströmformer landmarks."""
        return _count(self.model.landmarks, self.num_tokens)

    @property
    def projection_rank(self) -> int:
        """Linformer's k."""
        return _count(self.model.projection_rank, self.num_tokens)

    @property
    def random_features(self) -> int:
        """Performer features a head."""
        if self.model.random_features:
            return _count(self.model.random_features, self.num_tokens)
        return max(1, int(self.head_dim * math.log(self.head_dim)))

    def check(self) -> None:
        """Raise ValueError for what this stage's number of tokens and width forbid."""
        model, tokens = self.model, self.num_tokens
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is no multiple of num_heads {self.num_heads}"
            )
        pairs = {"rotary": 2, "rotary-2d": 4}.get(model.positions, 1)
        if self.head_dim % pairs:
            raise ValueError(f"{model.positions} needs a head_dim divisible by {pairs}")
        if tokens > _MAX_TOKENS:
            raise ValueError(f"{tokens} tokens are more than {_MAX_TOKENS}: enlarge patch_size")
        for mixer, name, count, most, reason in (
            (
                "nystromformer",
                "landmarks",
                self.landmarks,
                int(_MAX_LANDMARK_SHARE * tokens),
                "with more, softmax attention takes less memory and time",
            ),
            (
                "linformer",
                "projection_rank",
                self.projection_rank,
                int(_MAX_RANK_SHARE * tokens),
                "with more, softmax attention is as fast",
            ),
            (
                "performer",
                "random_features",
                self.random_features,
                max(tokens, int(self.head_dim * math.log(self.head_dim))),
                "with more, softmax attention takes less memory and time",
            ),
        ):
            if model.token_mixer == mixer and count > max(1, most):
                raise ValueError(
                    f"{count} {name} for {tokens} tokens: at most {max(1, most)}; {reason}"
                )


_CHOICES: dict[str, Any] = {
    "TokenMixer": TokenMixer,
    "Embedding": Embedding,
    "Positions": Positions,
    "Pooling": Pooling,
    "Projection": Projection,
    "Downsampling": Downsampling,
}


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _count(share: Share, tokens: int) -> int:
    return int(share) if share >= 1 else max(1, int(share * tokens))


def _divide(side: int, stride: int) -> int:
    return -(-side // stride)
