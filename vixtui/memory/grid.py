"""For which picture sizes a preset is traced; between them, `figures` interpolates."""

from __future__ import annotations

from vixtui.presets import Preset

LARGEST_SIDE = 512
"""Of a picture that a preset is offered for, in pixels."""
_SMALLEST_SIDE = 8


def traced_sizes(preset: Preset) -> tuple[int, ...]:
    """Return sides of square pictures in pixels, so that every patch size has a few token counts.

    The patch size follows from the picture, and each one is traced for the fewest tokens, one and a
    half times and nearly twice as many a side. A stem has other layers for each patch size, until
    all of them halve the map; in larger pictures, the pictures themselves take most.
    """
    aim = preset.tokens_per_side
    smallest, largest = max(1, _SMALLEST_SIDE // aim), LARGEST_SIDE // aim
    first = [smallest << power for power in range(5)]
    sides = [aim // 2]
    for patch in (*(patch for patch in first if patch < largest), largest):
        sides += [patch * tokens for tokens in (aim, aim * 3 // 2, 2 * aim - 1)]
    return tuple(side for side in sides if side >= _SMALLEST_SIDE)
