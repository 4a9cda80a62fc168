"""Questions to the engine over its pipe, as the commands and screens ask them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_runs import make_run

from vixtui.data.cache_folder import cache_files
from vixtui.engine.intake import take_in
from vixtui.engine.serve import Server
from vixtui.errors import DataError, UsageError, WeightsError
from vixtui.memory.execution import Execution
from vixtui.paths import assets_dir
from vixtui.planning.traced import read_trace
from vixtui.presets import preset
from vixtui.runs.directory import RunDirectory
from vixtui.runs.process import Engine, start_training

# One process has them all, and trains the model once.
pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDirectory]:
    """Train one small model for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIXTUI_HOME", str(tmp_path_factory.mktemp("home")))
        trained = make_run(epochs=8, preset_name="hybrid-vit:tiny")
        assert start_training(trained).wait(120) == 0
        yield trained


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as warm:
        yield warm


def test_pictures_are_named_and_unreadable_ones_explained(
    run: RunDirectory, engine: Engine, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    samples = sorted((assets_dir() / "samples").glob("digit-*.png"))
    paths = [*map(str, samples), str(broken)]
    seen: list[int] = []
    answer = engine.ask(
        "predict",
        on_progress=lambda message: seen.append(message["done"]),
        model=str(run.model_path),
        paths=paths,
        top=3,
    )
    assert seen == list(range(1, len(paths) + 1))
    *good, bad = answer["predictions"]
    right = [p["top"][0]["class"] == Path(p["path"]).stem[-1] for p in good]
    assert sum(right) >= len(right) - 1
    assert all(len(prediction["top"]) == 3 for prediction in good)
    assert bad["top"] == []
    assert "broken.png" in bad["error"]


def test_an_answer_does_not_depend_on_its_company(run: RunDirectory, engine: Engine) -> None:
    samples = [str(path) for path in sorted((assets_dir() / "samples").glob("digit-*.png"))]
    together = engine.ask("predict", model=str(run.model_path), paths=samples)["predictions"]
    for path, prediction in zip(samples, together, strict=True):
        alone = engine.ask("predict", model=str(run.model_path), paths=[path])["predictions"][0]
        assert alone == prediction


def test_evaluation_again_gives_the_figures_of_the_run(run: RunDirectory, engine: Engine) -> None:
    tested = run.progress().tested
    assert tested is not None
    result = engine.ask("evaluate", model=str(run.model_path), run=str(run.path), split="test")
    assert result["top1"] == tested.top1
    assert result["images"] == tested.images
    other = engine.ask("evaluate", model=str(run.model_path), source="digits", split="all")
    assert other["images"] == 1797


def test_classes_of_another_folder_are_matched_by_name(
    run: RunDirectory, engine: Engine, tmp_path: Path
) -> None:
    for name in ("9", "zebra", "0"):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for shade in range(10):
            Image.new("L", (8, 8), shade * 20).save(folder / f"{shade}.png")
    told: list[dict[str, Any]] = []
    result = engine.ask(
        "evaluate",
        on_progress=told.append,
        model=str(run.model_path),
        source=str(tmp_path / "pictures"),
    )
    assert not any("drawn by seed" in message.get("warning", "") for message in told)
    assert any("does not know" in message.get("warning", "") for message in told)
    counts = {row["class"]: row["images"] for row in result["per_class"]}
    assert counts["9"] == counts["0"] == 10
    assert sum(counts.values()) == 20


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Pictures of two classes, one of them unusable: enough for a part of each kind."""
    for name in ("9", "0"):
        (tmp_path / "numbers" / name).mkdir(parents=True)
        for shade in range(30):
            image = Image.linear_gradient("L").rotate(7 * shade).resize((8, 8))
            image.save(tmp_path / "numbers" / name / f"{shade:02}.png")
        (tmp_path / "numbers" / name / "99.png").write_text("no picture")
    return tmp_path / "numbers"


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "images_per_second"}


@pytest.mark.parametrize("part", ["test", "train", "all"])
def test_no_evaluation_but_the_first_decodes_and_all_give_the_same_figures(
    run: RunDirectory, numbers: Path, decoded: list[str], part: str
) -> None:
    told: list[dict[str, Any]] = []
    question = {"ask": "evaluate", "model": str(run.model_path), "source": str(numbers)}
    ask = partial(Server(told.append).answer, question | {"split": part})
    first = ask()
    assert len(decoded) == first["images"] + first["unusable"]
    assert first["unusable"] == sum("99.png" in message.get("warning", "") for message in told)
    again = ask()
    assert len(decoded) == first["images"] + first["unusable"]
    fresh = Server(told.append).answer(question | {"split": part, "cache": False})
    assert len(decoded) == 2 * (first["images"] + first["unusable"])
    assert figures(first) == figures(again) == figures(fresh)


def test_what_a_training_has_decoded_no_evaluation_decodes(
    run: RunDirectory, numbers: Path, decoded: list[str]
) -> None:
    trained = make_run(str(numbers), run_id="trained", preset_name="hybrid-vit:tiny")
    take_in(trained.config(), trained.split_path, warn=str)
    question = {"ask": "evaluate", "model": str(run.model_path)}
    decoded.clear()
    for split in ("test", "train"):
        Server(lambda _: None).answer(question | {"source": str(numbers), "split": split})
        Server(lambda _: None).answer(question | {"run": str(trained.path), "split": split})
    assert not decoded
    assert len(cache_files()) == 1


def test_an_evaluation_keeps_decoded_pictures_only_if_its_run_does(
    run: RunDirectory, numbers: Path
) -> None:
    trained = make_run(str(numbers), run_id="trained", cache=False)
    question = {"ask": "evaluate", "model": str(run.model_path), "run": str(trained.path)}
    Server(lambda _: None).answer(question)
    assert not cache_files()
    Server(lambda _: None).answer(question | {"cache": True})
    assert len(cache_files()) == 1


def test_bad_questions_are_answered_with_their_kind_of_error(
    run: RunDirectory, engine: Engine, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.safetensors"
    junk.write_bytes(b"junk" * 100)
    with pytest.raises(WeightsError):
        engine.ask("predict", model=str(junk), paths=[])
    with pytest.raises(UsageError):
        engine.ask("predict", model=str(tmp_path / "nowhere"), paths=[])
    with pytest.raises(UsageError):
        engine.ask("evaluate", model=str(run.model_path), run=str(run.path), split="wrong")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        engine.ask("evaluate", model=str(run.model_path), source=str(tmp_path / "empty"))
    assert engine.ask("predict", model=str(run.model_path), paths=[])["predictions"] == []


def test_a_step_of_a_changed_model_is_traced(engine: Engine) -> None:
    model = preset("vin:tiny").model_config(
        image_height=32, image_width=32, in_channels=3, num_classes=10
    )
    peaks = []
    for landmarks in (1, 8):
        changed = replace(model, landmarks=landmarks)
        steps = read_trace(engine.ask("trace", model=changed.to_dict(), backend="cpu"))
        step = steps[Execution("cpu")]
        assert (step.patch_size, step.tokens) == (model.patch_size, model.num_tokens)
        assert steps.keys() >= {Execution("cpu", "bf16", "block"), Execution("cpu", "fp32", "mlp")}
        peaks.append(step.peak_bytes(64))
    assert peaks[0] < peaks[1]
