"""How good a model is: every figure over all pictures of a split, never averaged over batches.

Letters: n pictures, k classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vixtui.data.tensors import Images, Pictures
from vixtui.engine.inputs import Normalise
from vixtui.models.vision_xformer import VisionXFormer

SCHEMA_VERSION = 1
_BINS = 15
_SHOWN_BINS = 10
_MAX_MISTAKES = 200


@dataclass(frozen=True, slots=True)
class Scores:
    """Fractions correct among the first and the first five guesses, and the mean loss."""

    top1: float
    top5: float
    loss: float


@torch.inference_mode()
def predict_logits(
    model: VisionXFormer,
    images: Images,
    normalise: Normalise,
    *,
    batch_size: int,
    rows: slice | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return (n, k) float32 logits on the CPU for (n, c, h, w) uint8 pictures, or some `rows`."""
    model.eval()
    parts, wanted = [], range(len(images))[rows or slice(None)]
    for start in range(wanted.start, wanted.stop, batch_size):
        end = min(start + batch_size, wanted.stop)
        parts.append(model(normalise.pixels(images[start:end])).float().cpu())
        if on_progress is not None:
            on_progress(end - wanted.start, len(wanted))
    return torch.cat(parts)


def score(logits: Tensor, labels: Tensor) -> Scores:
    """Return the scores of (n, k) logits against (n,) labels; top-5 is clamped to k classes."""
    guesses = logits.topk(min(5, logits.shape[1])).indices
    hits = guesses == labels[:, None]
    return Scores(
        top1=hits[:, 0].double().mean().item(),
        top5=hits.any(1).double().mean().item(),
        loss=F.cross_entropy(logits.double(), labels).item(),
    )


def report(
    logits: Tensor, pictures: Pictures, *, classes: tuple[str, ...], source: str, split: str
) -> dict[str, Any]:
    """Return the whole evaluation as a JSON-able object.

    Args:
        logits: (n, k).
        pictures: their true labels and where they come from.
        classes: k names.
        source, split: what was evaluated; noted down.
    """
    labels, number = pictures.labels, len(classes)
    scores, probabilities = score(logits, labels), logits.softmax(1)
    confusion = (labels * number + logits.argmax(1)).bincount(minlength=number**2)
    confusion = confusion.reshape(number, number)
    return {
        "schema_version": SCHEMA_VERSION,
        "source": source,
        "split": split,
        "images": len(labels),
        "classes": list(classes),
        "top1": scores.top1,
        "top1_interval": wilson_interval(scores.top1, len(labels)),
        "top5": scores.top5,
        "top_k": min(5, number),
        "loss": scores.loss,
        "ece": _calibration_error(_calibration(probabilities, labels, _BINS)),
        "confusion": confusion.tolist(),
        "per_class": _by_class(confusion, classes),
        "calibration": _calibration(probabilities, labels, _SHOWN_BINS),
        "mistakes": _mistakes(probabilities, pictures, classes),
    }


def timed_logits(
    model: VisionXFormer,
    images: Images,
    normalise: Normalise,
    *,
    batch_size: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Tensor, float]:
    """Return logits as `predict_logits` does, and images a second."""
    started = time.perf_counter()
    logits = predict_logits(
        model, images, normalise, batch_size=batch_size, on_progress=on_progress
    )
    return logits, len(images) / max(1e-9, time.perf_counter() - started)


def wilson_interval(fraction: float, number: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % score interval of a fraction observed `number` times (Wilson 1927)."""
    centre = fraction + z * z / (2 * number)
    spread = z * math.sqrt(fraction * (1 - fraction) / number + z * z / (4 * number * number))
    scale = 1 + z * z / number
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _by_class(confusion: Tensor, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class; 0 where there is nothing to divide by."""
    correct, shown, guessed = confusion.diag(), confusion.sum(1), confusion.sum(0)
    precision = correct / guessed.clamp_min(1)
    recall = correct / shown.clamp_min(1)
    f1 = 2 * correct / (shown + guessed).clamp_min(1)
    columns = (column.tolist() for column in (precision, recall, f1, shown))
    return [
        {"class": name, "precision": p, "recall": r, "f1": f, "images": images}
        for name, p, r, f, images in zip(classes, *columns, strict=True)
    ]


def _calibration(probabilities: Tensor, labels: Tensor, bins: int) -> list[dict[str, float]]:
    """Return confidence and accuracy of the pictures in each of equally wide `bins`, if any."""
    confidence, guess = probabilities.max(1)
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    rows = []
    for index in range(bins):
        inside = place == index
        if inside.any():
            rows.append(
                {
                    "confidence": confidence[inside].mean().item(),
                    "accuracy": (guess == labels)[inside].float().mean().item(),
                    "images": int(inside.sum()),
                }
            )
    return rows


def _calibration_error(rows: list[dict[str, float]]) -> float:
    """Return the expected calibration error (Guo et al. 2017, equation 3)."""
    apart = sum(row["images"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    return apart / sum(row["images"] for row in rows)


def _mistakes(
    probabilities: Tensor, pictures: Pictures, classes: tuple[str, ...]
) -> list[dict[str, object]]:
    confidence, guess = probabilities.max(1)
    wrong = (guess != pictures.labels).nonzero()[:, 0]
    worst = wrong[confidence[wrong].argsort(descending=True)][:_MAX_MISTAKES]
    return [
        {
            "item": pictures.items[index],
            "true": classes[int(pictures.labels[index])],
            "predicted": classes[int(guess[index])],
            "confidence": confidence[index].item(),
        }
        for index in worst.tolist()
    ]
