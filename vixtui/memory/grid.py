"""For which picture sizes a preset is traced; between them, `cost` interpolates."""

from __future__ import annotations

from dataclasses import dataclass

from vixtui.presets import Preset

LARGEST_SIDE = 512
"""Of a picture that a preset is offered for, in pixels."""
_SMALLEST_SIDE = 8
_SMALL = ("tiny", "small")


@dataclass(frozen=True, slots=True, order=True)
class TracedSize:
    """A square picture of whole patches.

    Args:
        patch: pixels a side of one.
        tokens_per_side: how many there are.
        budgets: whether smallest budgets are searched for, too.
    """

    patch: int
    tokens_per_side: int
    budgets: bool = True


def traced_sizes(preset: Preset) -> tuple[TracedSize, ...]:
    """Return the sizes of pictures that a preset is traced for.

    The patch size follows from the picture; from as many tokens a side as a preset aims at to twice
    as many there are pictures of each. Both ends are traced for most patch sizes: a stem has other
    layers for each, and without one another moment of a step takes most. What lies between the ends
    depends on the tokens alone: at one patch size, small presets are traced for each number of
    them, others for one.
    """
    aim = preset.tokens_per_side
    smallest, largest = max(1, _SMALLEST_SIDE // aim), LARGEST_SIDE // aim
    reference = smallest * 4
    main = {smallest, reference, largest // 2, largest}
    between = {smallest * factor for factor in (2, 8, 16)}
    sizes = {
        TracedSize(patch, count, budgets=patch in main)
        for patch in main | between
        for count in (aim, 2 * aim)
        if patch * count <= LARGEST_SIDE
    }
    step = 1 if preset.size in _SMALL else aim // 2
    sizes |= {
        TracedSize(reference, count, budgets=False) for count in range(aim + step, 2 * aim, step)
    }
    if smallest * (aim // 2) >= _SMALLEST_SIDE:
        sizes.add(TracedSize(smallest, aim // 2))
    return tuple(sorted(sizes))
