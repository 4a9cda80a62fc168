"""For which picture sizes a preset is traced; between them, `cost` interpolates."""

from __future__ import annotations

from vixtui.memory.execution import Backend
from vixtui.presets import Preset

LARGEST_SIDE = 512
"""Of a picture that a preset is offered for, in pixels."""
_SMALLEST_SIDE = 8
_COMMON_SIDE, _MANY_TOKENS = 32, 16
_COMMON_SIDES = (28, 96)  # of MNIST, of STL-10; CIFAR's and powers of two are traced anyway


def traced_sizes(preset: Preset, backend: Backend) -> tuple[int, ...]:
    """Return sides of square pictures in pixels, so that each patch size has a few token counts.

    The patch size follows from the picture. Most are traced for the fewest tokens a side and for
    nearly twice as many, that of pictures as small as CIFAR's for one in between, too. Of small
    presets, in which pictures take as much memory as layers, neither a patch size nor a common
    picture is left to interpolation; of others some patch sizes are. Large ones, whose steps take
    long to trace, are traced less for the CPU, which hardly anyone trains them on.
    """
    aim = preset.tokens_per_side
    smallest, largest = max(1, _SMALLEST_SIDE // aim), LARGEST_SIDE // aim
    patches, sides = [smallest, smallest * 4, smallest * 16], [aim // 2]
    # A stem has other layers for each patch size, until all of them halve the map.
    if aim < _MANY_TOKENS or preset.options["embedding"] in ("conv", "conv-pool"):
        patches += [smallest * 2, smallest * 8]
    if aim < _MANY_TOKENS:
        patches.append(smallest * 32)
        sides += _COMMON_SIDES
    if backend == "cpu" and aim >= _MANY_TOKENS:
        patches.remove(smallest * 16)
    for patch in (*patches, largest):
        if patch <= largest:
            sides += [patch * aim, patch * (2 * aim - 1)]
        if patch * aim == _COMMON_SIDE:
            sides.append(patch * aim * 3 // 2)
    return tuple(sorted({side for side in sides if _SMALLEST_SIDE <= side <= LARGEST_SIDE}))
