"""Test results, read without trust."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from vixtui.errors import DataError
from vixtui.runs.evaluation import Evaluation, read_evaluation

WHOLE: dict[str, Any] = {
    "schema_version": 1, "source": "digits", "split": "test", "images": 20, "model": "a-run",
    "classes": ["cat\x1b[2J", "[/x]", "dog"], "top1": 0.8, "top1_interval": [0.6, 0.9],
    "top5": 1.0, "top_k": 3, "loss": 0.4, "ece": 0.05, "images_per_second": 100.0,
    "confusion": [[8, 2, 0], [1, 9, 0], [0, 0, 0]],
    "per_class": [
        {"class": "cat\x1b[2J", "precision": 0.9, "recall": 0.8, "f1": 0.85, "images": 10},
        {"class": "[/x]", "precision": 0.8, "recall": 0.9, "f1": 0.85, "images": 10},
        {"class": "dog", "precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0},
    ],
    "calibration": [{"confidence": 0.75, "accuracy": 0.8, "images": 20}],
    "mistakes": [],
}  # fmt: skip


def _changed(**values: object) -> dict[str, Any]:
    return deepcopy(WHOLE) | values


def test_a_file_of_any_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(DataError, match="unreadable test results: too large"):
        read_evaluation(path)


def test_names_are_safe_to_show() -> None:
    found = Evaluation.from_dict(WHOLE)
    assert found.classes == (r"cat\x1b[2J", "[/x]", "dog")


def test_the_most_confused_pair_comes_first_as_a_share_of_the_true_class() -> None:
    first, second = Evaluation.from_dict(WHOLE).most_confused(5)
    assert (first.predicted, first.images, first.fraction) == ("[/x]", 2, pytest.approx(0.2))
    assert second.images == 1


def test_a_class_without_pictures_has_no_figures_and_comes_last() -> None:
    scores = Evaluation.from_dict(WHOLE).worst_first()
    assert [score.recall for score in scores] == [0.8, 0.9, None]
    assert (scores[2].precision, scores[2].f1) == (None, None)


def test_a_run_that_was_never_tested_has_no_results(tmp_path: Path) -> None:
    assert read_evaluation(tmp_path / "evaluation.json") is None


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"schema_version": 1}', "[" * 99_999])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(DataError, match="unreadable test results") as error:
        read_evaluation(path)
    assert str(path) in error.value.message


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - {"mistakes"}))
@pytest.mark.parametrize("value", [None, "x", [3], {}, -1, 1e400])
def test_a_wrong_value_is_refused_or_harmless(name: str, value: object) -> None:
    try:
        found = Evaluation.from_dict(_changed(**{name: value}))
    except DataError:
        return
    found.most_confused(5)
    found.worst_first()


@pytest.mark.parametrize("name", sorted(WHOLE.keys() - {"mistakes"}))
def test_a_missing_value_is_named(name: str) -> None:
    values = _changed()
    del values[name]
    with pytest.raises(DataError, match=f"'{name}' is missing"):
        Evaluation.from_dict(values)
