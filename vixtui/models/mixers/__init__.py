"""Token mixers: how the tokens of a picture exchange information. One file each.

Each is made from a `StageConfig` and called with tokens (b, n, d) and rotations (n, e/2, 2) or
None; it returns (b, n, d). Those with queries take a `query_stride` too, and then return fewer
tokens; all that know a class token can be made to return `only_class_token`, (b, 1, d), at a
fraction of the cost. A picture's result never depends on the other pictures of its batch.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from vixtui.models.config import StageConfig
from vixtui.models.mixers.fourier import Fourier
from vixtui.models.mixers.linformer import Linformer
from vixtui.models.mixers.mlp import TokenMlp
from vixtui.models.mixers.nystromformer import Nystromformer
from vixtui.models.mixers.performer import Performer
from vixtui.models.mixers.softmax import Softmax

_MIXERS: dict[str, Callable[..., nn.Module]] = {
    "softmax": Softmax,
    "nystromformer": Nystromformer,
    "performer": Performer,
    "linformer": Linformer,
    "fourier": Fourier,
    "fourier-2d": Fourier,
    "mlp": TokenMlp,
}


def build_mixer(stage: StageConfig, **options: int) -> nn.Module:
    """Return a new mixer of the configured kind."""
    return _MIXERS[stage.model.token_mixer](stage, **options)
