"""Pictures, or the map of an earlier stage, into tokens.

Letters: b pictures, c channels, (h, w) pixels or tokens before, (rows, columns) tokens after,
d embed_dim.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.models.config import StageConfig
from vixtui.models.convolution import convolve


def build_embedding(stage: StageConfig) -> nn.Module:
    """Return the module that turns a (b, c, h, w) map into a (b, d, rows, columns) map."""
    model = stage.model
    if stage.index:
        return OverlappingPatches(stage.in_channels, stage.embed_dim, model.stage_stride)
    match model.embedding:
        case "linear":
            return LinearPatches(stage.in_channels, stage.embed_dim, model.patch_size)
        case "overlapping":
            return OverlappingPatches(stage.in_channels, stage.embed_dim, model.patch_size)
        case "conv-pool":
            return PoolingStem(stage)
        case "conv":
            return ConvStem(stage)


class LinearPatches(nn.Module):
    """Each patch projected by one matrix (Dosovitskiy et al. 2021, section 3.1).

    Pictures whose sides are no multiple of the patch are padded with zeros at the right and bottom.
    """

    def __init__(self, in_channels: int, embed_dim: int, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.projection = nn.Linear(in_channels * patch_size**2, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns), channels innermost."""
        size = self.patch_size
        height, width = images.shape[-2:]
        right, bottom = -width % size, -height % size
        if right or bottom:
            images = F.pad(images, (0, right, 0, bottom))
        patches = images.unflatten(3, (-1, size)).unflatten(2, (-1, size))
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)  # (b, rows, columns, c·size²)
        # Patches of one pixel are no copy yet; of what is not contiguous, a product adds its bias
        # in a second pass.
        embedded: Tensor = self.projection(patches.contiguous())
        return embedded.permute(0, 3, 1, 2)


class OverlappingPatches(nn.Module):
    """One convolution, wider than its stride, then a norm (CvT, Wu et al. 2021, section 3.1)."""

    def __init__(self, in_channels: int, embed_dim: int, stride: int) -> None:
        super().__init__()
        kernel = max(3, 2 * stride - 1)
        self.projection = nn.Conv2d(
            in_channels, embed_dim, kernel, stride=stride, padding=kernel // 2
        )
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns), channels innermost."""
        features = convolve(images.contiguous(memory_format=torch.channels_last), self.projection)
        normalised: Tensor = self.norm(features.permute(0, 2, 3, 1))  # (b, rows, columns, d)
        return normalised.permute(0, 3, 1, 2)


class ConvStem(nn.Sequential):
    """3×3 convolutions, of which log2(patch_size) halve the map.

    The paper (section 3.2) puts nothing between its three convolutions, which makes them one linear
    map, and its code lets the first ones halve. With `stem_activation` each is normalised and
    activated, and the last ones halve. Normalisation is by groups, so that a picture's result does
    not depend on its neighbours in the batch.
    """

    def __init__(self, stage: StageConfig) -> None:
        model = stage.model
        halving = _halving(model.patch_size, model.stem_depth, first=not model.stem_activation)
        layers: list[nn.Module] = []
        channels = stage.in_channels
        for width, halve in zip(
            stem_widths(stage.embed_dim, model.stem_depth), halving, strict=True
        ):
            stride, bias = 1 + halve, not model.stem_activation
            layers.append(nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=bias))
            if model.stem_activation:
                layers += [PreciseGroupNorm(_groups(width), width), nn.GELU()]
            channels = width
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns), channels innermost: 1.2 times faster on a CPU."""
        features: Tensor = super().forward(images.contiguous(memory_format=torch.channels_last))
        return features


class PoolingStem(nn.Sequential):
    """3×3 convolution, ReLU, 3×3 maximum, a few times (CCT, Hassani et al. 2021, equation 1).

    log2(patch_size) of the maxima halve the map, the last ones.
    """

    def __init__(self, stage: StageConfig) -> None:
        model = stage.model
        layers: list[nn.Module] = []
        channels = stage.in_channels
        for width, halve in zip(
            stem_widths(stage.embed_dim, model.stem_depth),
            _halving(model.patch_size, model.stem_depth, first=False),
            strict=True,
        ):
            layers += [
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.ReLU(),
                nn.MaxPool2d(3, stride=1 + halve, padding=1),
            ]
            channels = width
        super().__init__(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(b, c, h, w) → (b, d, rows, columns), channels innermost."""
        features: Tensor = super().forward(images.contiguous(memory_format=torch.channels_last))
        return features


class PreciseGroupNorm(nn.GroupNorm):
    """Group normalisation in float32, whatever the precision around it.

    More exact, and on a CPU faster: the bfloat16 backward kernel takes three times as long.
    """

    def forward(self, features: Tensor) -> Tensor:
        """(b, c, h, w) → (b, c, h, w)."""
        return super().forward(features.to(self.weight.dtype)).to(features.dtype)


def stem_widths(embed_dim: int, depth: int) -> list[int]:
    """Return output channels of each convolution, doubling from a quarter of `embed_dim` up to it.

    Two convolutions begin with half of it.
    """
    first = max(embed_dim >> min(depth - 1, 2), 1)
    return [*(min(first << index, embed_dim) for index in range(depth - 1)), embed_dim]


def _halving(patch_size: int, depth: int, *, first: bool) -> list[bool]:
    """Return which of `depth` layers halve the map, so that `patch_size` pixels become one."""
    halvings = patch_size.bit_length() - 1
    layers = [index < halvings for index in range(depth)]
    return layers if first else layers[::-1]


def _groups(channels: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)
