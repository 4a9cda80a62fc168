"""Downloads, with torchvision's part played by a fake: tests never use the network."""

from __future__ import annotations

import errno
import gzip
import hashlib
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from urllib.error import HTTPError, URLError

import pytest
from PIL import Image
from torchvision import datasets
from torchvision.datasets import cifar, eurosat, flowers102, mnist, oxford_iiit_pet, stl10
from torchvision.datasets.utils import download_url, extract_archive

from vixtui.data.download import download
from vixtui.data.sources import PUBLIC_SETS, open_source
from vixtui.errors import DataError, DiskError, UsageError, VixtuiError

TORCHVISION_MODULES = (cifar, eurosat, flowers102, mnist, oxford_iiit_pet, stl10)


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


class Archives:
    """A torchvision data set that unpacks a tar archive."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive

    def __call__(self, root: str, *_: object, **__: object) -> FakeSet:
        extract_archive(str(self._archive), root)
        return FakeSet(root, download=True)


def member(name: str, **kind: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for attribute, value in kind.items():
        setattr(found, attribute, value)
    return found


OUTSIDE = "../../.."  # the home, seen from where archives are unpacked


@pytest.mark.parametrize(
    "members",
    [
        [member(f"{OUTSIDE}/escaped")],
        [member("out", type=tarfile.SYMTYPE, linkname=OUTSIDE), member("out/escaped")],
        [
            member("link", type=tarfile.LNKTYPE, linkname=f"{OUTSIDE}/secret"),
            member("link"),
        ],
        [member("device", type=tarfile.CHRTYPE)],
    ],
    ids=["parent", "through a link", "hard link", "device"],
)
def test_an_archive_that_leaves_its_folder_is_refused(home, monkeypatch, members) -> None:
    (home / "secret").write_text("kept")
    monkeypatch.setattr(datasets, "CIFAR10", Archives(archive(home / "set.tar", members)))

    with pytest.raises(DataError, match="the download failed"):
        download("cifar10")

    assert (home / "secret").read_text() == "kept"
    assert {path.name for path in home.iterdir()} == {"secret", "set.tar", "data"}
    assert list((home / "data").iterdir()) == []


def test_an_absolute_path_is_taken_for_a_relative_one(home, monkeypatch) -> None:
    path = archive(home / "set.tar", [member(str(home / "escaped"))])
    monkeypatch.setattr(datasets, "CIFAR10", Archives(path))
    download("cifar10")
    assert not (home / "escaped").exists()
    assert tarfile.TarFile.extraction_filter is None  # as it was


def archive(path: Path, members: list[tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as tar:
        for found in members:
            tar.addfile(found)
    return path


@pytest.fixture
def mirror(tmp_path) -> Iterator[str]:
    """A server of this computer that has something else than what was published."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, _ in datasets.MNIST.resources:
        (folder / name).write_bytes(b"not what was published")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_wrong_checksum_is_one_line_and_leaves_nothing(home, mirror, monkeypatch) -> None:
    monkeypatch.setattr(datasets.MNIST, "mirrors", [mirror])

    with pytest.raises(DataError, match="check the connection"):
        download("mnist")

    assert list((home / "data").iterdir()) == []


class Unsteady(BaseHTTPRequestHandler):
    """Sends a share of what it announces, then closes the connection."""

    content = bytes(range(256)) * 4000
    share = 0.5

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: int(len(self.content) * self.share)])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_download_that_is_cut_is_one_line_leaves_nothing_and_can_be_repeated(
    home, monkeypatch
) -> None:
    digest = hashlib.md5(Unsteady.content, usedforsecurity=False).hexdigest()

    def fetch(root: str, **_: object) -> FakeSet:
        download_url(f"http://127.0.0.1:{server.server_port}/a", root, md5=digest)
        return FakeSet(root, download=True)

    monkeypatch.setattr(datasets, "FashionMNIST", fetch)
    with ThreadingHTTPServer(("127.0.0.1", 0), Unsteady) as server:
        Thread(target=server.serve_forever).start()
        try:
            with pytest.raises(DataError, match="check the connection") as cut:
                download("fashion-mnist")
            left = list((home / "data").iterdir())
            monkeypatch.setattr(Unsteady, "share", 1.0)
            folder = download("fashion-mnist")
        finally:
            server.shutdown()

    assert (cut.value.exit_code, cut.value.message.count("\n"), left) == (3, 0, [])
    assert len(list(folder.rglob("*.png"))) == 40


def test_a_gigabyte_of_zeros_for_an_archive_is_never_unpacked(home, monkeypatch, mirror) -> None:
    packer = zlib.compressobj(wbits=31)
    head, block = (packer.compress(bytes(10**6)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in "ab")
    bomb = head + 999 * block
    for name, _ in datasets.MNIST.resources:
        (Path(home) / "mirror" / name).write_bytes(bomb)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [mirror])
    opened: list[object] = []
    monkeypatch.setattr(gzip, "open", lambda *arguments: opened.append(arguments))

    with pytest.raises(DataError, match="check the connection"):
        download("mnist")

    assert opened == []
    assert list((home / "data").iterdir()) == []


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_no_archive_is_opened_without_a_checksum(home, monkeypatch, name) -> None:
    seen: list[object] = []

    def note(url: str, *_: object, md5: object = None, **__: object) -> None:
        seen.append(md5)

    for module in TORCHVISION_MODULES:
        for function in ("download_and_extract_archive", "download_url"):
            if hasattr(module, function):
                monkeypatch.setattr(module, function, note)
    for missing in ("scipy", "scipy.io"):
        monkeypatch.setitem(sys.modules, missing, ModuleType(missing))
    with suppress(VixtuiError):  # nothing was fetched
        download(name)

    assert seen
    assert all(isinstance(md5, str) and len(md5) == 32 for md5 in seen)
