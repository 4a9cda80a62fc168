"""First filters that whiten: what neighbouring pixels have in common is weighed down.

A network that begins with random filters spends its first epochs on learning such ones (Page 2019,
"How to train your ResNet"; Jordan 2024, arXiv 2404.00498, section 3.2, which freezes them). Here
they are a beginning like any other, and learn on.

Letters: b pictures, c channels, (h, w) pixels, k side of the filters, d of them, n = c·k².
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.data.tensors import Images
from vixtui.engine.inputs import Normalise
from vixtui.models.vision_xformer import VisionXFormer

_SAMPLE, _READ_AT_ONCE = 256, 4
# Larger ones would take longer than they save.
_LARGEST = 1024
# Beside a variance of 1 a pixel: what varies less is noise, and not made as strong as the rest.
_NOISE = 0.1


@torch.no_grad()
def whiten(model: VisionXFormer, images: Images, normalise: Normalise) -> None:
    """Replace the first filters of a new model by eigenvectors of patches of its pictures.

    Each is scaled by its eigenvalue, λ: 1 / √(λ + `_NOISE`), all of them so that the variance of
    what comes out, taken over all filters, is that of random ones. Those come first that matter
    most, then their negatives, which an activation after them tells apart; any others stay random.

    Args:
        model: on any device.
        images: (b, c, h, w) uint8 training pictures, of which a few are looked at.
        normalise: as they are before the model sees them.

    Raises:
        DataError: when a picture cannot be read any more.
    """
    weight = next(model.get_submodule("stages.0.embedding").parameters())  # (d, c, k, k) or (d, n)
    filters = weight.view(len(weight), -1)
    size = filters.shape[1]
    if size > _LARGEST:
        return
    variances, directions = torch.linalg.eigh(_covariance(images, normalise, size))
    variances = variances.clamp_min(0).flip(0)
    kept = variances / (variances + _NOISE)
    whitening = directions.T.flip(0) / (variances + _NOISE).sqrt()[:, None]
    of_random_ones = filters.var().item() * variances.sum()
    whitening *= (of_random_ones / kept.mean().clamp_min(1e-9)).sqrt()
    chosen = torch.cat([whitening, -whitening])[: len(filters)]
    filters[: len(chosen)] = chosen.to(filters)


def _covariance(images: Images, normalise: Normalise, size: int) -> Tensor:
    """Return (n, n), in float64, of patches of some of the pictures, whose mean is near zero."""
    rows = torch.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).long().unique()
    total, count = torch.zeros(size, size, dtype=torch.float64), 0
    for part in rows.split(_READ_AT_ONCE):
        pictures = normalise.pixels(images[part]).cpu()
        side = isqrt(size // pictures.shape[1])
        patches = F.unfold(pictures, side, padding=side // 2, stride=side)  # (b, n, patches)
        patches = patches.transpose(0, 1).flatten(1).double()  # (n, all patches)
        total += patches @ patches.T
        count += patches.shape[1]
    return total / count
