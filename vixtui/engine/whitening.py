"""First filters that whiten: what neighbouring pixels have in common is weighed down.

A network that begins with random filters spends its first epochs on learning such ones (Page 2019,
"How to train your ResNet"; Jordan 2024, arXiv 2404.00498, section 3.2, which freezes them). Here
they are a beginning like any other, and learn on. Of 2,000 CIFAR-10 pictures, after as many updates
as 100 s of one thread allow, ViT tiny reached 45.5 instead of 39.2 % of top-1.

Letters: b pictures, c channels, (h, w) pixels, k side of the filters, d of them, n = c·k².
"""

from __future__ import annotations

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.data.tensors import Images
from vixtui.engine.inputs import Normalise, few_at_a_time
from vixtui.models.vision_xformer import VisionXFormer

_SAMPLE, _READ_AT_ONCE = 256, 16
# Larger ones would take longer than they save.
_LARGEST = 1024
# Beside a variance of 1 a pixel: what varies less is weighed down, as noise.
_NOISE = 0.1
# What varies even less, as colour in grey pictures, would give filters that are always 0.
_NOTHING = 1e-3


@torch.no_grad()
def whiten(model: VisionXFormer, images: Images, normalise: Normalise) -> None:
    """Replace the first filters of a new model by eigenvectors of patches of its pictures.

    Each is scaled by its eigenvalue, λ: 1 / √(λ + `_NOISE`), all of them so that the mean variance
    of what comes out is that of random ones. Those come first that matter most, then their
    negatives, which an activation after them tells apart; any others stay random.

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
    of_random_ones = filters.var().item() * variances.sum()
    strongest = variances.argsort(descending=True)[: len(filters)]
    strongest = strongest[variances[strongest] > _NOTHING]
    variances, directions = variances[strongest], directions.T[strongest]
    whitening = directions / (variances + _NOISE).sqrt()[:, None]
    whitening = torch.cat([whitening, -whitening])[: len(filters)]
    variances = variances.repeat(2)[: len(filters)]
    whitening *= (of_random_ones / (variances / (variances + _NOISE)).mean()).sqrt()
    filters[: len(whitening)] = whitening.float().to(filters.device)


def _covariance(images: Images, normalise: Normalise, size: int) -> Tensor:
    """Return (n, n), in float64, of patches of some of the pictures, whose mean is near zero."""
    rows = torch.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).long().unique()
    channels, height, width = images[:0].shape[1:]
    side = isqrt(size // channels)
    total, count = torch.zeros(size, size, dtype=torch.float64), 0
    for few in few_at_a_time(images, rows.split(_READ_AT_ONCE)):
        pictures = F.pad(normalise.pixels(few).cpu(), (0, -width % side, 0, -height % side))
        patches = F.unfold(pictures, side, stride=side)  # (b, n, patches)
        patches = patches.transpose(0, 1).flatten(1).double()  # (n, all patches)
        total += patches @ patches.T
        count += patches.shape[1]
    return total / count
