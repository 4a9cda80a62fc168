"""Models without memory, on torch's meta device: names and shapes, no values.

Computing there would load torch's compiler, 150 MB and two seconds, for nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def has_values() -> bool:
    """Tell whether a tensor made now has any: not inside ``with torch.device("meta")``."""
    return torch.get_default_device().type != "meta"


def filled(
    compute: Callable[[], Tensor], *shape: int, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return what `compute` does, a tensor of `shape`, or one of that shape without values."""
    return compute() if has_values() else torch.empty(shape, dtype=dtype)
