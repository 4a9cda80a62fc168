from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.data.split import Split, cross_validation, stratified_split

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=200)
FRACTIONS = st.floats(0, 0.4)


@given(labels=LABELS, validation=FRACTIONS, test=FRACTIONS, seed=st.integers(0, 2**32))
def test_split_is_disjoint_complete_and_stratified(
    labels: list[int], validation: float, test: float, seed: int
) -> None:
    pictures = [(f"{index}.png", label) for index, label in enumerate(labels)]

    split = stratified_split(pictures, validation=validation, test=test, seed=seed)

    parts = (split.train, split.validation, split.test)
    assert sorted(item for part in parts for item in part) == sorted(pictures)
    for label, count in Counter(labels).items():
        shares = [sum(1 for _, other in part if other == label) for part in parts]
        assert shares[0] >= 1
        for share, fraction in ((shares[1], validation), (shares[2], test)):
            assert fraction > 0 or share == 0
            assert share <= max(1, count * fraction + 1)
            assert share >= count * fraction - 1 or shares[0] == 1
        assert validation == 0 or count < 2 or shares[1] >= 1
        assert test == 0 or count < 3 or shares[2] >= 1


def test_split_is_the_same_for_the_same_seed() -> None:
    pictures = [(index, index % 3) for index in range(90)]

    first, again, other = (
        stratified_split(pictures, validation=0.1, test=0.2, seed=seed) for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other
    assert first.validation[:3] == ((0, 0), (2, 2), (22, 1))  # the same on every system


def test_a_new_class_does_not_change_the_split_of_the_others() -> None:
    two = [(f"{label}/{index}", label) for label in range(2) for index in range(30)]
    three = [*two, *((f"2/{index}", 2) for index in range(30))]

    small = stratified_split(two, validation=0.1, test=0.2, seed=0)
    large = stratified_split(three, validation=0.1, test=0.2, seed=0)

    assert set(small.validation) <= set(large.validation)
    assert set(small.test) <= set(large.test)


def test_split_with_undecodable_names_survives_its_file() -> None:
    split = Split(train=(("cat/\udce9\n.png", 0), ("dog/ü.png", 1)), validation=(), test=((7, 1),))

    assert Split.from_json(split.to_json()) == split


@given(counts=st.lists(st.integers(5, 30), min_size=2, max_size=5), folds=st.integers(2, 5))
def test_every_picture_is_tested_in_one_fold_and_never_learned_from_in_it(
    counts: list[int], folds: int
) -> None:
    pictures = [(f"{label}/{i}", label) for label, count in enumerate(counts) for i in range(count)]
    splits = cross_validation(pictures, folds=folds, validation=0.1, seed=3)
    assert sorted(entry for split in splits for entry in split.test) == sorted(pictures)
    for split in splits:
        assert not set(split.test) & {*split.train, *split.validation}
        assert sorted([*split.train, *split.validation, *split.test]) == sorted(pictures)
        tested = Counter(label for _, label in split.test)
        assert all(abs(tested[label] - count / folds) < 1 for label, count in enumerate(counts))


def test_a_class_with_fewer_pictures_than_folds_is_refused() -> None:
    with pytest.raises(ValueError, match="2 pictures, fewer than 3 folds"):
        cross_validation([("a", 0), ("b", 0)], folds=3, validation=0.1, seed=0)
