"""Every candidate that lost says why, in a few words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vixtui.planning.ranking import ranked
from vixtui.planning.types import Candidate
from vixtui.presets import preset

BEST = Candidate(
    preset="vit:tiny",
    title="ViT",
    model=preset("vit:tiny").model_config(
        image_height=32, image_width=32, in_channels=3, num_classes=10
    ),
    parameters=1,
    batch_size=64,
    micro_batch=64,
    peak_bytes=10**9,
    uncorrected_bytes=10**9,
    peak_basis="predicted",
    seconds_per_epoch=10.0,
    time_basis="predicted",
    accuracy=0.5,
    accuracy_basis="measured",
    fits=True,
    reason="",
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fits": False, "peak_bytes": 3 * 10**9}, "needs 3.00 GB"),
        ({"fits": False, "remembered": "memory ran out in run a"}, "memory ran out in run a"),
        ({"seconds_per_epoch": 40.0, "accuracy": 0.9}, "too slow for 1:40"),
        ({"accuracy": 0.48}, "−2.0 points, no gain over vit:tiny"),
        ({"accuracy": 0.48, "peak_bytes": 10**8}, "−2.0 points, 1.0× speed"),
        ({"accuracy": 0.48, "seconds_per_epoch": 5.0}, "−2.0 points, 2.0× speed"),
        ({"seconds_per_epoch": 20.0}, "same accuracy, slower"),
        ({"accuracy": 0.4999, "seconds_per_epoch": 5.0}, "same accuracy, 2.0× speed"),
        ({"accuracy": None, "seconds_per_epoch": 20.0}, "accuracy not measured, 0.5× speed"),
    ],
)
def test_a_loser_says_why(changes: dict[str, object], reason: str) -> None:
    loser = replace(BEST, preset="vin:tiny", **changes)  # type: ignore[arg-type]
    best, lost = ranked([loser, BEST], 100.0)
    assert (best.preset, best.reason) == ("vit:tiny", "best measured")
    assert (lost.preset, lost.reason) == ("vin:tiny", reason)


def test_what_is_worse_than_a_better_one_in_everything_names_it() -> None:
    small = replace(BEST, preset="vin:tiny", accuracy=0.49, peak_bytes=10**8, seconds_per_epoch=9)
    worse = replace(small, preset="vip:tiny", accuracy=0.4, seconds_per_epoch=9.5)
    assert [entry.reason for entry in ranked([worse, small, BEST])] == [
        "best measured",
        "−1.0 points, 1.1× speed",
        "−10.0 points, no gain over vin:tiny",
    ]


def test_the_points_are_those_between_the_figures_shown() -> None:
    best, lost = (replace(BEST, accuracy=0.5506), replace(BEST, accuracy=0.5444, peak_bytes=1))
    assert ranked([best, lost])[1].reason == "−0.7 points, 1.0× speed"  # 55.1 % and 54.4 %


def test_when_all_are_too_slow_or_unmeasured_each_still_says_why() -> None:
    assert ranked([BEST], 1.0)[0].reason == "too slow for 1.0 s"
    assert ranked([replace(BEST, accuracy=None)])[0].reason == "accuracy not measured"
