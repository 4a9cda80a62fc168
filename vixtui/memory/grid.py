"""For which picture sizes a preset is traced; between them, `figures` interpolates."""

from __future__ import annotations

from vixtui.presets import DEFAULT_SIZE, Preset

_SMALLEST_SIDE = 8
_LARGEST_SIDE = 512
# A larger model with a convolutional stem on larger pictures is nothing for a small machine.
_LARGEST_STEM_SIDE = 256


def largest_side(preset: Preset) -> int:
    """Return the largest picture that a preset is offered for, in pixels a side."""
    stem = "stem_depth" in preset.options and preset.size != DEFAULT_SIZE
    return _LARGEST_STEM_SIDE if stem else _LARGEST_SIDE


def traced_sizes(preset: Preset) -> tuple[int, ...]:
    """Return sides of square pictures in pixels, so that every patch size has a few token counts.

    The patch size follows from the picture, and each one is traced for the fewest tokens, one and a
    half times and nearly twice as many a side. Linear patches of other sizes differ only in the
    projection and the picture itself, both linear in the area: two patch sizes are enough.
    """
    aim = preset.tokens_per_side
    largest = largest_side(preset) // aim
    linear = preset.options["embedding"] == "linear"
    patches = (1, largest) if linear else [2**power for power in range(largest.bit_length() - 1)]
    sides = [aim // 2]
    for patch in patches:
        sides += [patch * tokens for tokens in (aim, aim * 3 // 2, 2 * aim - 1)]
    if not linear:
        sides.append(largest_side(preset))
    return tuple(side for side in sides if side >= _SMALLEST_SIDE)
