"""Presets: one TOML file a variant, its sizes as tables, addressed ``hybrid-vin-rope:small``."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from vixtui.errors import UsageError
from vixtui.models.config import ModelConfig
from vixtui.paths import presets_dir

SIZES = ("tiny", "small", "base", "paper")
DEFAULT_SIZE = "tiny"


@dataclass(frozen=True, slots=True)
class Preset:
    """A variant in one size, for any picture size.

    Args:
        variant: file name without ending: ``hybrid-vin``.
        size: one of `SIZES`.
        title: for people: ``Hybrid ViN``.
        summary: one sentence on what it is good for.
        options: `ModelConfig` fields that do not depend on the data.
        tokens_per_side: aimed number of tokens along the shorter side.
    """

    variant: str
    size: str
    title: str
    summary: str
    options: MappingProxyType[str, Any]
    tokens_per_side: int

    @property
    def name(self) -> str:
        """``variant:size``, as users type it."""
        return f"{self.variant}:{self.size}"

    def model_config(
        self, *, image_height: int, image_width: int, in_channels: int, num_classes: int
    ) -> ModelConfig:
        """Return the model for pictures of a given size in pixels.

        Raises:
            ValueError: when the variant cannot take such pictures.
        """
        size = patch_size(image_height, image_width, self.tokens_per_side)
        options = {**self.options, "patch_size": size}
        if "stem_depth" in options:
            options["stem_depth"] = max(options["stem_depth"], size.bit_length() - 1)
        return ModelConfig.from_dict(
            {
                "image_height": image_height,
                "image_width": image_width,
                "in_channels": in_channels,
                "num_classes": num_classes,
                **options,
            }
        )


def patch_size(height: int, width: int, tokens_per_side: int) -> int:
    """Return the largest power of two of which `tokens_per_side` whole ones fit; at least 1.

    Long and narrow pictures get larger patches, until there are at most eight times as many tokens
    as in a square of `tokens_per_side`.

    Args:
        height, width: of the picture in pixels.
        tokens_per_side: aimed tokens along its shorter side.
    """
    size = 1 << max(0, (min(height, width) // tokens_per_side).bit_length() - 1)
    while -(-height // size) * -(-width // size) > 8 * tokens_per_side**2:
        size *= 2
    return size


def preset(name: str, *, option: str = "--preset") -> Preset:
    """Return the preset ``variant`` or ``variant:size``; without a size, the tiny one.

    Args:
        name: as typed.
        option: named in the error.

    Raises:
        UsageError: when there is no such preset; names the nearest ones.
    """
    variant, _, size = name.partition(":")
    found = all_presets().get(f"{variant}:{size or DEFAULT_SIZE}")
    if found is None:
        near = difflib.get_close_matches(name, [*all_presets(), *variants()], n=3, cutoff=0.5)
        remedy = f"did you mean {' or '.join(near)}?" if near else "see 'vixtui presets list'"
        raise UsageError(f"no preset of this name: {name}", where=option, remedy=remedy)
    return found


def variants() -> tuple[str, ...]:
    """Return the names of all variants, sorted."""
    return tuple(dict.fromkeys(found.variant for found in all_presets().values()))


@cache
def all_presets() -> MappingProxyType[str, Preset]:
    """Return every shipped preset by its name, sorted by variant, then by size."""
    found: dict[str, Preset] = {}
    for path in sorted(presets_dir().glob("*.toml"), key=lambda path: path.stem):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        for size in SIZES:
            if size not in table["sizes"]:
                continue
            options = {**table["model"], **table["sizes"][size]}
            entry = Preset(
                variant=path.stem,
                size=size,
                title=table["title"],
                summary=table["summary"],
                tokens_per_side=options.pop("tokens_per_side"),
                options=MappingProxyType(options),
            )
            found[entry.name] = entry
    return MappingProxyType(found)
