"""Fine-tuning begins with the weights of a file, and says so; it never guesses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import make_run, of, wait_for

from vixtui.engine.transfer import take_over
from vixtui.engine.weights import load_weights, save_weights
from vixtui.errors import WeightsError
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import build
from vixtui.planning.origin import read_origin
from vixtui.presets import preset
from vixtui.runs.config import RunConfig, read_config, write_config
from vixtui.runs.events import Checkpointed, Finished
from vixtui.runs.process import start_training
from vixtui.runs.weights import ModelCard, Preprocessing

OLD = ("cat", "dog", "owl")


def model_config(name: str, classes: tuple[str, ...], side: int = 32) -> ModelConfig:
    return preset(name).model_config(
        image_height=side, image_width=side, in_channels=3, num_classes=len(classes)
    )


def weights_file(path: Path, name: str = "vit:tiny") -> Path:
    config = model_config(name, OLD)
    torch.manual_seed(1)
    card = ModelCard(
        title=name, model=config, classes=OLD, metrics={}, data={}, provenance={},
        preprocessing=Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)),
    )  # fmt: skip
    save_weights(path, build(config).state_dict(), card)
    return path


def config_of(path: Path, classes: tuple[str, ...], model: ModelConfig) -> RunConfig:
    config = make_run().config()
    return replace(
        config,
        model=model,
        data=replace(config.data, classes=classes, in_channels=3),
        init=read_origin(path).record(classes),
    )


def test_rows_of_the_head_follow_their_classes_names(tmp_path: Path) -> None:
    path, classes = weights_file(tmp_path / "a.safetensors"), ("owl", "eel", "cat")
    target = model_config("vit:tiny", classes)
    fresh = build(target)
    before = fresh.head.weight.detach().clone()
    take_over(fresh, config_of(path, classes, target))
    source, _ = load_weights(path)
    assert torch.equal(fresh.head.weight[0], source.head.weight[2])
    assert torch.equal(fresh.head.weight[1], before[1])
    assert torch.equal(fresh.head.weight[2], source.head.weight[0])
    body = {name: value for name, value in fresh.state_dict().items() if "head" not in name}
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in body.items())


def test_learned_positions_are_stretched_to_a_larger_grid(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    small = model_config("vit:tiny", OLD)
    large = replace(small, image_height=64, image_width=48)
    read_origin(path).check(large)
    fresh = build(large)
    take_over(fresh, config_of(path, OLD, large))
    source, _ = load_weights(path)
    old, new = source.stages[0].positions, fresh.stages[0].positions
    assert new.shape[1] == large.num_tokens > old.shape[1]
    assert new.mean().item() == pytest.approx(old.mean().item(), abs=1e-3)
    assert "positions interpolated" in read_origin(path).told(large, OLD)


@pytest.mark.parametrize(
    ("name", "other", "word"),
    [("vit:tiny", "vin:tiny", "token_mixer"), ("vit:tiny", "vit:small", "embed_dim")],
)
def test_another_architecture_is_refused_by_name(
    tmp_path: Path, name: str, other: str, word: str
) -> None:
    path = weights_file(tmp_path / "a.safetensors", name)
    with pytest.raises(WeightsError, match=word):
        read_origin(path).check(model_config(other, OLD))


def test_weights_bound_to_their_grid_name_the_image_size(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "a.safetensors", "mixer:tiny")
    larger = replace(model_config("mixer:tiny", OLD), image_height=64, image_width=64)
    with pytest.raises(WeightsError, match="--image-size 32"):
        read_origin(path).check(larger)


def test_a_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = weights_file(tmp_path / "a.safetensors")
    target = model_config("vit:tiny", OLD)
    config = config_of(path, OLD, target)
    source, card = load_weights(path)
    save_weights(path, source.state_dict(), replace(card, metrics={"test": {"top1": 1.0}}))
    with pytest.raises(WeightsError, match="changed"):
        take_over(build(target), config)


def test_a_fine_tuned_run_starts_where_the_first_ended_and_resumes_without_the_file() -> None:
    first = make_run(run_id="first", epochs=6)
    assert start_training(first).wait(120) == 0
    tuned = make_run(run_id="tuned", epochs=60, lr=1e-7)
    config = tuned.config()
    origin = read_origin(first.model_path)
    write_config(tuned.config_path, replace(config, init=origin.record(config.data.classes)))
    assert read_config(tuned.config_path).init is not None
    process = start_training(tuned)
    wait_for(tuned, Checkpointed)
    process.kill()
    process.wait()
    first.model_path.unlink()
    write_config(
        tuned.config_path, replace(tuned.config(), recipe=make_run(epochs=1).config().recipe)
    )
    assert start_training(tuned).wait(120) == 0
    reached = of(tuned, Finished)[0].best_top1
    assert reached >= origin.card.metrics["validation"]["top1"] - 0.1 > 0.2
