from __future__ import annotations

import pytest
import torch
from PIL import Image

from vixtui.data import tensors
from vixtui.data.decode import decode
from vixtui.data.sources import open_source
from vixtui.data.tensors import load_pictures
from vixtui.errors import DataError, DoesNotFitError
from vixtui.hardware.machine import Figure
from vixtui.planning.start import data_config


@pytest.fixture
def folder(tmp_path):
    """Two classes of 150 pictures, each of its own brightness."""
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(150):
            image = Image.new("RGB", (8, 8), (number, label, 0))
            image.save(tmp_path / name / f"{number:03}.png")
    return tmp_path


def fail(message: str) -> None:
    raise AssertionError(message)


@pytest.mark.parametrize("threads", [1, 3])
def test_pictures_keep_their_order_and_labels(folder, threads) -> None:
    source = open_source(str(folder))
    items = source.split.train

    pictures = load_pictures(data_config(source), items, on_unusable=fail, threads=threads)

    assert pictures.items == tuple(item for item, _ in items)
    assert pictures.labels.tolist() == [label for _, label in items]
    numbers = [int(str(item)[4:7]) for item, _ in items]
    assert pictures.images[:, 0, 0, 0].tolist() == numbers
    assert torch.equal(pictures.images[:, 1, 0, 0].long(), pictures.labels)


def test_unusable_pictures_are_left_out_and_named_in_order(folder) -> None:
    source = open_source(str(folder))
    items = source.split.train
    bad = [items[0][0], items[70][0], items[-1][0]]
    (folder / bad[0]).write_text("hello")
    (folder / bad[1]).unlink()
    (folder / bad[2]).write_bytes(b"")
    told: list[str] = []

    pictures = load_pictures(data_config(source), items, on_unusable=told.append, threads=2)

    assert len(pictures.images) == len(pictures.labels) == len(items) - 3
    assert pictures.items == tuple(item for item, _ in items if item not in bad)
    assert [str(name) in line for name, line in zip(bad, told, strict=True)] == [True] * 3
    assert int(str(pictures.items[5])[4:7]) == pictures.images[5, 0, 0, 0]


def test_not_one_usable_picture_is_an_error(folder) -> None:
    source = open_source(str(folder))
    for file in folder.rglob("*.png"):
        file.write_text("hello")

    with pytest.raises(DataError, match="none of 210 pictures"):
        load_pictures(data_config(source), source.split.train, on_unusable=str, threads=1)


def test_no_items_are_no_pictures(folder) -> None:
    pictures = load_pictures(data_config(open_source(str(folder))), (), on_unusable=fail, threads=2)

    assert pictures.images.shape == (0, 3, 8, 8)
    assert pictures.labels.shape == (0,)


def test_pictures_that_exceed_the_free_memory_are_refused_with_advice(folder, monkeypatch) -> None:
    source = open_source(str(folder))
    little = Figure(1000, "test")
    monkeypatch.setattr(tensors, "host_memory", lambda: (little, little))

    with pytest.raises(DoesNotFitError, match="--image-size"):
        load_pictures(data_config(source), source.split.train, on_unusable=fail, threads=1)


def test_digits_are_loaded_as_shipped() -> None:
    source = open_source("digits")

    pictures = load_pictures(data_config(source), source.split.test, on_unusable=fail, threads=2)

    assert pictures.images.shape == (359, 1, 8, 8)
    assert pictures.images.max() == 255
    zeros = pictures.images[pictures.labels == 0].float().mean((0, 1))
    assert zeros[4, 4] < 60 < zeros[4, 2]  # a nought is hollow


def test_shapes_are_drawn_at_the_size_of_the_model() -> None:
    source = open_source("shapes:images=100", image_size=48)

    pictures = load_pictures(data_config(source), source.split.test, on_unusable=fail, threads=2)

    assert pictures.images.shape == (25, 3, 48, 48)
    assert len({image.numpy().tobytes() for image in pictures.images}) == 25


def test_training_and_prediction_see_the_same_pixels(folder) -> None:
    source = open_source(str(folder), image_size=20)
    items = source.split.test[:5]

    pictures = load_pictures(data_config(source), items, on_unusable=fail, threads=1)

    for image, (item, _) in zip(pictures.images, items, strict=True):
        assert torch.equal(image, decode(folder / str(item), height=20, width=20, channels=3))
