"""Weights files written and read back; the only way a model reaches or leaves the disk."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from vixtui import __version__
from vixtui.engine.storage import open_tensors, save_tensors
from vixtui.errors import WeightsError
from vixtui.models.vision_xformer import VisionXFormer, build
from vixtui.runs.config import RunConfig
from vixtui.runs.weights import ModelCard, Preprocessing, check_weights, read_header


def card_of(config: RunConfig, preprocessing: Preprocessing) -> ModelCard:
    """Return the card of a run's weights, without metrics yet."""
    return ModelCard(
        title=config.preset,
        model=config.model,
        classes=config.data.classes,
        preprocessing=preprocessing,
        metrics={},
        data={"source": config.data.source, "fingerprint": config.data.fingerprint},
        provenance={
            "vixtui": __version__,
            "torch": str(torch.__version__),
            "seed": str(config.seed),
            "note": f"trained from {_beginning(config)} on the named data; their licence applies",
        },
    )


def _beginning(config: RunConfig) -> str:
    if config.init is None:
        return "scratch"
    return f"weights of {config.init.title} (sha256 {config.init.sha256}, under their own licence)"


def save_weights(path: Path, weights: dict[str, Tensor], card: ModelCard) -> None:
    """Write a self-contained weights file; the same weights and card give the same bytes.

    Raises:
        DiskError: when it cannot be written; the old file is kept.
    """
    save_tensors(path, weights, card.to_metadata())


def load_weights(path: Path) -> tuple[VisionXFormer, ModelCard]:
    """Return the model of a weights file, in evaluation mode on the CPU, and its card.

    Everything is checked against the header before memory is allocated for it.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it cannot be trusted or understood.
    """
    card = check_weights(path)
    with torch.device("meta"):
        _compare(path, build(card.model))
    model = build(card.model)
    _read(path, model)
    return model.eval(), card


def read_weights(path: Path, model: VisionXFormer) -> ModelCard:
    """Give a model the weights of a file, which take no memory of their own; return the card.

    Raises:
        UsageError: when there is no such file.
        WeightsError: when it cannot be trusted or understood, or has other tensors; the model may
            have some of them then.
    """
    card = check_weights(path)
    _compare(path, model)
    _read(path, model)
    return card


def _compare(path: Path, model: VisionXFormer) -> None:
    _, announced = read_header(path)
    expected = model.state_dict()
    if set(announced) != set(expected):
        raise WeightsError("the tensors do not belong to the described model", where=path)
    for name, tensor in expected.items():
        if announced[name].shape != tuple(tensor.shape):
            raise WeightsError(f"wrong shape of {name}", where=path)


def _read(path: Path, model: VisionXFormer) -> None:
    try:
        with open_tensors(path) as file, torch.no_grad():
            for name, tensor in model.state_dict().items():
                tensor.copy_(file.get_tensor(name))
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"damaged: {error}", where=path) from error
