"""What is done to the rows and to the columns of pictures alike."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def by_axis(
    place: Callable[[int, Tensor], Tensor], height: int, width: int, draws: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what `place` makes of the draws for rows and for columns; of a square at once.

    Args:
        place: makes (…, n) of a number of pixels and draws (…).
        draws: (b, 2), for rows and for columns.

    Returns:
        (b, n) for rows, and the same for columns.
    """
    if height == width:
        rows, columns = place(height, draws).unbind(1)
    else:
        rows, columns = place(height, draws[:, 0]), place(width, draws[:, 1])
    return rows, columns
