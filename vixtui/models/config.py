"""What defines a model: a frozen, JSON-able description, checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import ceil
from typing import Any, Literal, get_args

TokenMixer = Literal["softmax", "nystromformer", "performer", "linformer", "fourier", "mlp"]
Embedding = Literal["linear", "conv"]
Positions = Literal["learned", "rotary", "rotary-2d", "none"]
Pooling = Literal["mean", "class"]

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
    "stem_depth": (1, 8),
    "landmarks": (1, 1024),
    "projection_rank": (1, 1024),
    "random_features": (1, 4096),
    "dropout": (0, 0.9),
    "drop_path": (0, 0.9),
}
_MAX_TOKENS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """A Vision Xformer (Jeevan & Sethi 2022), whole enough to build it again.

    Args:
        token_mixer: how tokens exchange information.
        embedding: `linear` patches (ViT) or a `conv` stem ("hybrid" in the paper).
        positions: `learned` table, `rotary` over raster order (the paper), `rotary-2d` over rows
            and columns, or `none`.
        pooling: `mean` over tokens or a `class` token.
        image_height, image_width: input size in pixels.
        in_channels: 1 (grey) or 3 (RGB).
        patch_size: pixels a token stands for on each side; a power of two with a conv stem.
        embed_dim, depth, num_heads, mlp_ratio: as in ViT.
        stem_depth: number of 3×3 convolutions in a conv stem; the last log2(patch_size) halve
            the picture.
        stem_activation: normalise and activate between the convolutions; the paper does not.
        landmarks: Nyströmformer landmarks.
        projection_rank: Linformer's k.
        random_features: Performer features a head; 0 means head_dim · ln(head_dim).
        dropout: after the embedding, in attention and in the MLP.
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
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float = 2.0
    pooling: Pooling = "mean"
    stem_depth: int = 3
    stem_activation: bool = True
    landmarks: int = 16
    projection_rank: int = 64
    random_features: int = 0
    dropout: float = 0.0
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        self._check_choices()
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if name == "random_features" and value == 0:
                continue
            if not low <= value <= high:
                raise ValueError(f"{name} must be between {low:g} and {high:g}, not {value}")
        if self.in_channels not in (1, 3):
            raise ValueError(f"in_channels must be 1 or 3, not {self.in_channels}")
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} is no multiple of num_heads {self.num_heads}"
            )
        if self.num_tokens > _MAX_TOKENS:
            raise ValueError(
                f"{self.num_tokens} tokens are more than {_MAX_TOKENS}: enlarge patch_size"
            )
        if self.embedding == "conv":
            halvings = self.patch_size.bit_length() - 1
            if self.patch_size != 1 << halvings:
                raise ValueError(
                    f"a conv stem needs a power of two as patch_size, not {self.patch_size}"
                )
            if self.stem_depth < halvings:
                raise ValueError(f"patch_size {self.patch_size} needs stem_depth ≥ {halvings}")
        if self.rotary:
            if self.token_mixer not in ATTENTION_MIXERS:
                raise ValueError(f"{self.token_mixer} has no queries and keys to rotate")
            pairs = 4 if self.positions == "rotary-2d" else 2
            if self.head_dim % pairs:
                raise ValueError(f"{self.positions} needs a head_dim divisible by {pairs}")
        if self.pooling == "class" and self.token_mixer == "mlp":
            raise ValueError("an MLP-Mixer has no class token")

    def _check_choices(self) -> None:
        for name, choices in (
            ("token_mixer", TokenMixer),
            ("embedding", Embedding),
            ("positions", Positions),
            ("pooling", Pooling),
        ):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ValueError(
                    f"{name} must be one of {', '.join(get_args(choices))}, not {value}"
                )
        for field in fields(self):
            value, wanted = getattr(self, field.name), field.type
            if wanted in ("int", "float") and isinstance(value, bool):
                raise ValueError(f"{field.name} must be a number")
            if wanted == "int" and not isinstance(value, int):
                raise ValueError(f"{field.name} must be a whole number")
            if wanted == "float" and not isinstance(value, int | float):
                raise ValueError(f"{field.name} must be a number")
            if wanted == "bool" and not isinstance(value, bool):
                raise ValueError(f"{field.name} must be true or false")

    @property
    def head_dim(self) -> int:
        """Channels a head."""
        return self.embed_dim // self.num_heads

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens; a last partial patch is padded to a whole one."""
        return ceil(self.image_height / self.patch_size), ceil(self.image_width / self.patch_size)

    @property
    def num_tokens(self) -> int:
        """Tokens a picture, the class token included."""
        rows, columns = self.grid
        return rows * columns + (self.pooling == "class")

    @property
    def rotary(self) -> bool:
        """Whether queries and keys are rotated."""
        return self.positions in ("rotary", "rotary-2d")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read a description.

        Raises:
            ValueError: for unknown, missing or unusable entries.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown model option: {', '.join(unknown)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError("the model description is incomplete") from error
