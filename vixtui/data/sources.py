"""Where pictures come from, looked at without decoding them all."""

from __future__ import annotations

from dataclasses import dataclass

from vixtui.data.split import Split


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSource:
    """A data set that a run can use.

    Args:
        source: ``digits``, ``shapes`` or the absolute path of a folder.
        classes: names in label order; outside text, not yet safe to show.
        image_height, image_width: suggested model input in pixels.
        in_channels: 1 when every sampled picture is grey, else 3.
        fingerprint: changes when the set of pictures changes.
        horizontal_flip: whether a mirrored picture keeps its class.
        split: who trains, validates, tests.
        notes: one line each on what was left out or assumed.
    """

    source: str
    classes: tuple[str, ...]
    image_height: int
    image_width: int
    in_channels: int
    fingerprint: str
    horizontal_flip: bool
    split: Split
    notes: tuple[str, ...] = ()
