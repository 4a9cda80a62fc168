"""The choice of the kept weights is not the play of chance, nor ever of what is worse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.engine.selection import is_gain, replaces_kept, standard_error

FRACTIONS = st.floats(0, 1)


def kept_epochs(scores: list[float], images: int) -> list[int]:
    highest, kept = -1.0, []
    for epoch, top1 in enumerate(scores):
        if replaces_kept(top1, highest=highest, images=images):
            kept.append(epoch)
        highest = max(highest, top1)
    return kept


def test_the_standard_error_is_that_of_a_fraction() -> None:
    assert standard_error(0.5, 100) == pytest.approx(0.05)


def test_a_lucky_early_score_does_not_outlast_later_equals() -> None:
    assert kept_epochs([0.40, 0.56, 0.54, 0.55, 0.54], images=200)[-1] == 4


def test_clearly_worse_weights_are_not_kept() -> None:
    assert kept_epochs([0.40, 0.56, 0.50, 0.30], images=200)[-1] == 1


def test_many_pictures_make_the_choice_sharp() -> None:
    assert kept_epochs([0.56, 0.54], images=200)[-1] == 1
    assert kept_epochs([0.56, 0.54], images=20_000)[-1] == 0


@given(scores=st.lists(FRACTIONS, min_size=1), images=st.integers(1, 10_000))
def test_scores_cannot_drift_down_step_by_step(scores: list[float], images: int) -> None:
    best = max(scores)
    last = scores[kept_epochs(scores, images)[-1]]
    assert last >= best - standard_error(best, images)


def test_small_gains_add_up_to_one() -> None:
    since, gains = -1.0, []
    for epoch, top1 in enumerate([0.500, 0.515, 0.530, 0.545, 0.560]):
        if is_gain(top1, since=since, images=200):
            since = top1
            gains.append(epoch)
    assert gains == [0, 3]


def test_chance_is_no_gain() -> None:
    assert not is_gain(0.52, since=0.5, images=200)
