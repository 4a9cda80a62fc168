"""A weights file is enough to predict, and nothing in it is trusted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vixtui.engine.weights import load_weights, save_weights
from vixtui.errors import UsageError, WeightsError
from vixtui.models.vision_xformer import build
from vixtui.presets import all_presets, preset
from vixtui.runs.bounds import least_weights
from vixtui.runs.weights import ModelCard, Preprocessing


def card(name: str = "hybrid-vip:tiny") -> ModelCard:
    model = preset(name).model_config(image_height=8, image_width=8, in_channels=1, num_classes=2)
    return ModelCard(
        title=name,
        model=model,
        classes=("cat", "dog"),
        preprocessing=Preprocessing(mean=(0.5,), std=(0.25,)),
        metrics={"validation": {"top1": 0.5}},
        data={"source": "test"},
        provenance={},
    )


@pytest.mark.parametrize("name", [name for name in all_presets() if name.endswith(":tiny")])
def test_saved_and_loaded_models_answer_the_same(name: str, tmp_path: Path) -> None:
    described = card(name)
    model = build(described.model).eval()
    save_weights(tmp_path / "model.safetensors", model.state_dict(), described)
    loaded, read = load_weights(tmp_path / "model.safetensors")
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(model(images), loaded(images))
    assert read == described


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    model = build(card().model)
    for name in ("a", "b"):
        save_weights(tmp_path / name, model.state_dict(), card())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def change(weights: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    head = weights["head.weight"]
    match kind:
        case "not finite":
            head = head.clone()
            head[0, 0] = float("nan")
        case "wrong shape":
            head = head[:, :-1].contiguous()
        case "wrong type":
            head = head.half()
        case "missing":
            return {name: value for name, value in weights.items() if name != "head.weight"}
        case "surplus":
            return weights | {"more": torch.zeros(1)}
        case "renamed":
            return {f"module.{name}": value for name, value in weights.items()}
        case "another architecture":
            return dict(build(card("hybrid-vin:tiny").model).state_dict())
    return weights | {"head.weight": head}


@pytest.mark.parametrize(
    "kind",
    [
        "not finite", "wrong shape", "wrong type", "missing", "surplus", "renamed",
        "another architecture",
    ],
)  # fmt: skip
def test_tensors_that_do_not_belong_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, change(dict(build(card().model).state_dict()), kind), card())
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert caught.value.exit_code == 4
    assert path.name in caught.value.message
    assert "\n" not in caught.value.message


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, build(card().model).state_dict(), card())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(path)


def test_foreign_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="not a vixtui model"):
        load_weights(tmp_path / "foreign.safetensors")
    with pytest.raises(UsageError, match="no such file"):
        load_weights(tmp_path / "nowhere.safetensors")


def test_a_hostile_size_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    good = card()
    save_weights(path, {"x": torch.zeros(1)}, good)
    content = path.read_bytes()
    dim = f'\\"embed_dim\\": {good.model.embed_dim}'.encode()
    path.write_bytes(content.replace(dim, dim[:-3] + b"9" * 3))
    with pytest.raises(WeightsError):
        load_weights(path)
    huge = dataclasses.replace(good.model, embed_dim=2048, depth=64, mlp_ratio=8, num_heads=8)
    save_weights(path, {"x": torch.zeros(1)}, dataclasses.replace(good, model=huge))
    with pytest.raises(WeightsError, match="more weights than the file"):
        load_weights(path)


@pytest.mark.parametrize("name", all_presets())
def test_the_reader_never_counts_more_weights_than_a_model_has(name: str) -> None:
    for side, channels, classes in [(8, 1, 2), (32, 3, 10), (65, 3, 1000)]:
        model = preset(name).model_config(
            image_height=side, image_width=side, in_channels=channels, num_classes=classes
        )
        with torch.device("meta"):
            weights = build(model).state_dict().values()
        assert least_weights(model) <= sum(tensor.numel() for tensor in weights)
