"""What a run makes of its pictures before the first step."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from small_runs import make_run
from torch import Tensor

from vixtui.data.pictures import read_picture
from vixtui.engine import serve
from vixtui.engine.intake import Intake, take_in
from vixtui.engine.learner import Learner
from vixtui.errors import DataError
from vixtui.runs.directory import RunDirectory
from vixtui.runs.weights import Preprocessing


def ramp(seed: int, side: int = 40) -> Image.Image:
    bands = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256))]
    return Image.merge("RGB", bands).rotate(5 * seed).resize((side, side))


def save_every_kind(folder: Path, seed: int) -> None:
    """Write the same picture in every way that decoding has to deal with."""
    folder.mkdir(parents=True)
    image, exif = ramp(seed), Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "rgb.png")
    image.save(folder / "turned.jpg", exif=exif)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("P").save(folder / "palette.png", transparency=3)
    image.convert("LA").save(folder / "grey-alpha.png")
    image.convert("I;16").point(lambda value: value * 200).save(folder / "deep.tif")
    image.save(folder / "moving.gif", save_all=True, append_images=[ramp(seed + 1)])
    image.save(folder / "moving.webp", save_all=True, append_images=[ramp(seed + 1)])
    ramp(seed, side=1500).save(folder / "large.jpg")


def taken_in(run: RunDirectory) -> tuple[Intake, list[str]]:
    told: list[str] = []
    return take_in(run.config(), run.split_path, warn=told.append), told


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten different pictures, split into train, val and test."""
    for number, part in enumerate(("train", "val", "test")):
        for shade, name in enumerate(("cat", "dog")):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for index in range(10):
                image = ramp(20 * number + 10 * shade + index, side=16)
                image.save(tmp_path / "pictures" / part / name / f"{index}.png")
    return tmp_path / "pictures"


@pytest.mark.parametrize("cache", [True, False])
def test_training_evaluation_and_prediction_see_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bool
) -> None:
    for seed, name in enumerate(("cat", "dog")):
        save_every_kind(tmp_path / "pictures" / name, seed)
    run = make_run(str(tmp_path / "pictures"), cache=cache)
    config = run.config()
    intake, _ = taken_in(run)
    parts = (intake.train, intake.validation, intake.test)
    learned = torch.cat([part.images[:] for part in parts])
    items = [item for part in parts for item in part.items]
    seen: list[Tensor] = []

    def logits(network: object, images: Tensor, *_: object, **__: object) -> tuple[Tensor, float]:
        seen.append(images[:])
        return torch.zeros(len(images), 2), 1.0

    class Recorder:
        def __init__(self, *_: object) -> None:
            pass

        def pixels(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images

    card = SimpleNamespace(
        model=config.model,
        classes=config.data.classes,
        preprocessing=Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3),
        title="",
        metrics={},
    )
    network = lambda images: torch.zeros(len(images), 2)  # noqa: E731
    monkeypatch.setattr(serve.Server, "_model", lambda *_: (network, card))
    monkeypatch.setattr(serve.evaluate, "timed_logits", logits)
    monkeypatch.setattr(serve, "Normalise", Recorder)
    server = serve.Server(lambda message: None)

    server.answer({"ask": "evaluate", "model": "m", "run": str(run.path), "split": "all"})
    [evaluated] = seen
    seen.clear()
    paths = [str(tmp_path / "pictures" / str(item)) for item in items]
    server.answer({"ask": "predict", "model": "m", "paths": paths})

    assert len(items) == 18
    assert torch.equal(learned, evaluated)
    assert torch.equal(learned, torch.cat(seen))
    side = config.data.image_height
    for path, image in zip(paths, learned, strict=True):
        previewed = read_picture(path, height=side, width=side)
        assert previewed.tobytes() == bytes(image.permute(1, 2, 0).flatten().tolist())


def test_good_pictures_are_silently_taken_in(folder: Path) -> None:
    intake, told = taken_in(make_run(str(folder)))

    assert told == []
    assert [len(part.labels) for part in (intake.train, intake.validation, intake.test)] == [20] * 3


def test_every_unusable_picture_is_told_before_training(folder: Path) -> None:
    bad = ["train/cat/3.png", "val/dog/1.png", "test/dog/9.png"]
    for name in bad:
        (folder / name).write_text("no picture")

    intake, told = taken_in(make_run(str(folder)))

    assert intake.unusable == 3
    assert [name in line for name, line in zip(bad, told[-3:], strict=True)] == [True] * 3
    assert told[:-3] == ["few: cat: only 9 to train on"]


def test_leaks_and_doubled_pictures_are_told_with_one_line_a_kind(folder: Path) -> None:
    for name in ("test/cat/4.png", "test/cat/5.png", "train/dog/6.png"):
        (folder / name).write_bytes((folder / "train/cat/0.png").read_bytes())

    _, told = taken_in(make_run(str(folder)))

    assert told == [
        "two classes: train/dog/6.png: in dog, the same file as train/cat/0.png in cat",
        "leak: test/cat/4.png: in test, the same file as train/cat/0.png in train"
        " (and 1 more: see 'vixtui check')",
    ]


def test_a_class_that_is_not_judged_is_told(folder: Path) -> None:
    shutil.rmtree(folder / "test/cat")
    for path in (folder / "val/dog").iterdir():
        path.write_text("no picture")

    _, told = taken_in(make_run(str(folder)))

    assert told[0] == ("class: cat: no pictures in test (and 1 more: see 'vixtui check')")


def test_what_is_handled_shares_a_line(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    ramp(1).save(folder / "train/cat/a.jpg", exif=exif)
    ramp(2).save(folder / "train/cat/b.jpg", exif=exif)
    ramp(3).convert("RGBA").save(folder / "test/cat/c.png")

    _, told = taken_in(make_run(str(folder)))

    assert told == ["handled: 2 rotated, 1 alpha"]


def test_built_in_pictures_need_no_remarks() -> None:
    assert taken_in(make_run("digits"))[1] == []


@pytest.mark.parametrize("balance", ["off", "loss"])
def test_imbalance_is_told_with_the_option_that_makes_up_for_it(folder: Path, balance: str) -> None:
    for index in range(2, 10):
        (folder / f"train/cat/{index}.png").unlink()

    _, told = taken_in(make_run(str(folder), balance=balance))

    found = "imbalance: cat: 2 to train on, 10 of dog"
    remedy = ": train with --balance sampling" if balance == "off" else ""
    assert told == ["few: cat: only 2 to train on", found + remedy]


def test_rare_classes_weigh_more_and_all_together_as_much_as_before() -> None:
    config = make_run(balance="loss", label_smoothing=0.0).config()
    learner = Learner(config, Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"))
    labels = torch.tensor([0] * 30 + [1] * 10 + [2] * 2)
    images = torch.zeros(42, 1, 8, 8, dtype=torch.uint8)

    def loss(*rows: int) -> float:
        chosen = list(rows) or slice(None)
        return learner.accumulate(images[chosen], labels[chosen], step=0).loss_sum.item()

    alone = [loss(row) for row in (0, 30, 40)]  # one picture of each class
    assert loss() == pytest.approx(30 * alone[0] + 10 * alone[1] + 2 * alone[2], rel=1e-4)
    learner.weigh_classes(labels)
    assert loss() == pytest.approx(14 * sum(alone), rel=1e-4)


@pytest.mark.parametrize("cache", [True, False])
def test_what_is_told_is_the_same_whether_or_not_the_cache_knows_the_pictures(
    folder: Path, cache: bool
) -> None:
    (folder / "train/cat/3.png").write_text("no picture")
    (folder / "test/cat/4.png").write_bytes((folder / "train/cat/0.png").read_bytes())
    run = make_run(str(folder), cache=cache)

    first, second = taken_in(run), taken_in(run)

    assert first[1] == second[1]
    assert len(first[1]) == 3
    assert first[0].unusable == second[0].unusable == 1
    assert torch.equal(first[0].train.images[:], second[0].train.images[:])
    assert first[0].train.items == second[0].train.items


def test_a_damaged_split_is_refused(folder: Path) -> None:
    run = make_run(str(folder))
    run.split_path.write_text('{"train": [[["a"], 0]], "validation": [], "test": []}')

    with pytest.raises(DataError, match="split is missing or damaged"):
        taken_in(run)
