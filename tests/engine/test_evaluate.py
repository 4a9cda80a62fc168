"""Figures of an evaluation, against counting by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vixtui.data.tensors import Pictures
from vixtui.engine.evaluate import predict_logits, report, score, wilson_interval
from vixtui.engine.inputs import Normalise, measure
from vixtui.models.vision_xformer import build
from vixtui.presets import preset

CLASSES = ("ant", "bee", "cat")


def pictures(labels: list[int]) -> Pictures:
    number = len(labels)
    images = torch.zeros(number, 1, 8, 8, dtype=torch.uint8)
    return Pictures(images=images, labels=torch.tensor(labels), items=tuple(range(number)))


def confident(guesses: list[int], probability: float = 0.8) -> torch.Tensor:
    rest = (1 - probability) / 2
    rows = [[probability if k == guess else rest for k in range(3)] for guess in guesses]
    return torch.tensor(rows).log()


def test_counts_agree_with_counting_by_hand() -> None:
    truth, guesses = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 0]
    result = report(
        confident(guesses), pictures(truth), classes=CLASSES, source="by hand", split="test"
    )
    assert result["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    assert result["top1"] == pytest.approx(4 / 6)
    assert result["top_k"] == 3
    assert result["top5"] == 1.0
    ant, bee, cat = result["per_class"]
    assert (ant["precision"], ant["recall"]) == pytest.approx((2 / 3, 2 / 3))
    assert (bee["precision"], bee["recall"]) == pytest.approx((2 / 3, 1))
    assert (cat["f1"], cat["images"]) == (0, 1)
    assert result["ece"] == pytest.approx(0.8 - 4 / 6, abs=1e-6)
    assert [row["images"] for row in result["calibration"]] == [6]
    wrong = {(row["item"], row["true"], row["predicted"]) for row in result["mistakes"]}
    assert wrong == {(2, "ant", "bee"), (5, "cat", "ant")}


def test_figures_agree_with_those_of_torchmetrics() -> None:
    reference = pytest.importorskip("torchmetrics.functional.classification")
    torch.manual_seed(0)
    names = tuple("abcdefg")
    truth = torch.randint(5, (300,))  # of two classes there is no picture
    logits = 2 * torch.randn(300, 7) + 2 * F.one_hot(truth, 7)
    logits[:, 6] = -9  # and one is never guessed
    result = report(logits, pictures(truth.tolist()), classes=names, source="drawn", split="test")
    expected = reference.multiclass_confusion_matrix(logits, truth, 7)
    assert result["confusion"] == expected.tolist()
    for name in ("precision", "recall", "f1_score"):
        metric = getattr(reference, f"multiclass_{name}")(logits, truth, 7, average="none")
        found = [row[name.removesuffix("_score")] for row in result["per_class"]]
        assert found == pytest.approx(metric.tolist())
    error = reference.multiclass_calibration_error(logits.softmax(1), truth, 7, n_bins=15)
    assert result["ece"] == pytest.approx(error.item(), abs=1e-6)


def test_scores_are_means_over_pictures_not_over_batches() -> None:
    torch.manual_seed(0)
    config = preset("hybrid-vin:tiny").model_config(
        image_height=8, image_width=8, in_channels=1, num_classes=3
    )
    model = build(config)
    images = torch.randint(256, (10, 1, 8, 8), dtype=torch.uint8)
    labels = torch.randint(3, (10,))
    normalise = Normalise(measure(images), torch.device("cpu"))
    whole, uneven = (
        score(predict_logits(model, images, normalise, batch_size=size), labels) for size in (10, 4)
    )
    assert whole.top1 == uneven.top1
    assert whole.loss == pytest.approx(uneven.loss, rel=1e-6)


def test_wilson_interval_matches_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0.0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(1.0, 20)[1] == pytest.approx(1)
