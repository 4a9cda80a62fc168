"""Downloads, with torchvision's part played by a fake: tests never use the network."""

from __future__ import annotations

import errno
import shutil
from urllib.error import HTTPError, URLError

import pytest
from PIL import Image
from torchvision import datasets

from vixtui.data.download import download
from vixtui.data.sources import open_source
from vixtui.errors import DataError, DiskError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path))
    return tmp_path


class FakeSet:
    """Twenty pictures of two classes, as torchvision gives them."""

    classes = ("T-shirt/top", "1 - one")
    size = (28, 28)

    def __init__(
        self, root: str, train: bool = True, split: str = "", download: bool = False
    ) -> None:
        assert download
        print("Downloading something")

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("L", self.size, index), index % 2


def failing(error: Exception):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_download_becomes_a_folder_that_opens(home, monkeypatch, capsys) -> None:
    monkeypatch.setattr(datasets, "FashionMNIST", FakeSet)
    told: list[tuple[int, int, str]] = []

    folder = download("fashion-mnist", lambda *progress: told.append(progress))

    assert folder == home / "data" / "fashion-mnist"
    source = open_source("fashion-mnist")
    assert source.classes == ("1", "T-shirt-top")
    assert (source.image_height, source.in_channels) == (28, 1)
    assert len(source.split.test) == 20
    assert "Licence: MIT" in (folder / "SOURCE.txt").read_text()
    assert told[-1] == (40, 40, "writing pictures")
    assert capsys.readouterr().out == ""  # the engine's answers go there
    assert [path.name for path in (home / "data").iterdir()] == ["fashion-mnist"]


def test_photos_are_kept_as_jpeg_of_at_most_256_pixels(home, monkeypatch) -> None:
    monkeypatch.setattr(FakeSet, "size", (900, 600))
    monkeypatch.setattr(datasets, "OxfordIIITPet", FakeSet)

    folder = download("oxford-pets")

    with Image.open(next(folder.rglob("*.jpg"))) as image:
        assert image.size == (384, 256)


def test_a_set_that_is_there_is_not_fetched_again(home, monkeypatch) -> None:
    (home / "data" / "mnist").mkdir(parents=True)
    monkeypatch.setattr(datasets, "MNIST", failing(AssertionError()))

    assert download("mnist") == home / "data" / "mnist"


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        HTTPError("https://x", 404, "Not Found", None, None),  # type: ignore[arg-type]
        RuntimeError("Error downloading x:\nTried y, got:\nconnection reset"),
        ConnectionResetError(),
        TimeoutError("timed out"),
    ],
)
def test_a_failed_download_is_one_line_and_leaves_nothing(home, monkeypatch, error) -> None:
    monkeypatch.setattr(datasets, "CIFAR10", failing(error))

    with pytest.raises(DataError, match="check the connection") as caught:
        download("cifar10")

    assert "\n" not in caught.value.message
    assert list((home / "data").iterdir()) == []


def test_a_full_disk_is_a_disk_error_and_leaves_nothing(home, monkeypatch) -> None:
    monkeypatch.setattr(datasets, "MNIST", FakeSet)
    monkeypatch.setattr(
        Image.Image, "save", failing(OSError(errno.ENOSPC, "No space left on device", "x"))
    )

    with pytest.raises(DiskError, match="disk is full"):
        download("mnist")

    assert list((home / "data").iterdir()) == []


def test_a_disk_too_small_is_noticed_before_the_download(home, monkeypatch) -> None:
    monkeypatch.setattr(datasets, "STL10", failing(AssertionError()))
    usage = shutil.disk_usage(home)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    with pytest.raises(DiskError, match=r"10\.6 GB"):
        download("stl10")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="cifar100"):
        download("imagenet")
