"""Token mixers: how the tokens of a picture exchange information. One file each.

Each is called with tokens (b, n, d) and rotation angles (n, e/2) or None, and returns (b, n, d).
A picture's result never depends on the other pictures of its batch.
"""

from __future__ import annotations

from torch import nn

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.fourier import Fourier
from vixtui.models.mixers.linformer import Linformer
from vixtui.models.mixers.mlp import TokenMlp
from vixtui.models.mixers.nystromformer import Nystromformer
from vixtui.models.mixers.performer import Performer
from vixtui.models.mixers.softmax import Softmax

_MIXERS: dict[str, type[nn.Module]] = {
    "softmax": Softmax,
    "nystromformer": Nystromformer,
    "performer": Performer,
    "linformer": Linformer,
    "fourier": Fourier,
    "mlp": TokenMlp,
}


def build_mixer(config: ModelConfig) -> nn.Module:
    """Return a new mixer of the configured kind."""
    return _MIXERS[config.token_mixer](config)
