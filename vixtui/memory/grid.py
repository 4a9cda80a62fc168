"""For which picture sizes a preset is traced; between them, `figures` interpolates."""

from __future__ import annotations

from vixtui.presets import Preset

LARGEST_SIDE = 512
"""Of a picture that a preset is offered for, in pixels."""
_SMALLEST_SIDE = 8


def traced_sizes(preset: Preset) -> tuple[int, ...]:
    """Return sides of square pictures in pixels, so that every patch size has a few token counts.

    The patch size follows from the picture, and each one is traced for the fewest tokens, one and a
    half times and nearly twice as many a side. Linear patches of other sizes differ only in the
    projection and the picture itself, both linear in the area: two patch sizes are enough.
    """
    aim = preset.tokens_per_side
    largest = LARGEST_SIDE // aim
    linear = preset.options["embedding"] == "linear"
    patches = (1, largest) if linear else [2**power for power in range(largest.bit_length() - 1)]
    sides = [aim // 2]
    for patch in patches:
        sides += [patch * tokens for tokens in (aim, aim * 3 // 2, 2 * aim - 1)]
    if not linear:
        sides.append(LARGEST_SIDE)
    return tuple(side for side in sides if side >= _SMALLEST_SIDE)
