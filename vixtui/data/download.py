"""Public data sets fetched once by torchvision and kept as plain folders of pictures.

Everything is made under a temporary name and renamed at the end: a set is there whole, or not at
all. torchvision checks each archive against its published checksum before it is opened; that no
member of it leaves the folder is seen to here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

from vixtui.data.sources import PUBLIC_SETS, PublicSet
from vixtui.errors import DataError, DiskError, UsageError
from vixtui.files import disk_error
from vixtui.paths import data_dir
from vixtui.text import format_bytes

if TYPE_CHECKING:
    from PIL import Image

Progress = Callable[[int, int, str], None]
"""Called with pictures written, pictures in all (0 while unknown) and what is being done."""

_LARGEST_SHORTER_SIDE = 256
_JPEG_QUALITY = 95
_SMALL_SIDE = 96
# What torchvision lets through when a download or an archive is broken.
_BROKEN = (
    OSError, HTTPException, RuntimeError, ValueError, EOFError, zlib.error,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip
_DISK_FACTOR = 4  # archive, what is unpacked from it, and the pictures, for a while side by side


def download(name: str, on_progress: Progress | None = None) -> Path:
    """Fetch a public data set, unless it is there already, and return its folder.

    Small pictures are kept as PNG; photos as JPEG with a shorter side of at most 256 pixels.

    Args:
        name: one of `vixtui.data.sources.PUBLIC_SETS`.
        on_progress: told how far it is, about a hundred times.

    Raises:
        UsageError: for an unknown name, or when a package that the set needs is missing.
        DataError: when the download fails or is damaged.
        DiskError: when the set cannot be written, or would fill the disk.
    """
    if name not in PUBLIC_SETS:
        raise UsageError(
            f"no public data set of this name: {name}",
            where="--download",
            remedy=f"choose {', '.join(PUBLIC_SETS)}",
        )
    target = data_dir() / name
    if target.is_dir():
        return target
    report = on_progress or (lambda done, total, message: None)
    public = PUBLIC_SETS[name]
    working: Path | None = None
    try:
        data_dir().mkdir(parents=True, exist_ok=True)
        _check_disk(public)
        working = Path(tempfile.mkdtemp(dir=data_dir(), prefix=f".{name}-"))
        report(0, 0, f"downloading {public.megabytes} MB")
        parts = _fetch(name, public, working / "archives")
        _write_pictures(parts, working / "pictures", report)
        (working / "pictures" / "SOURCE.txt").write_text(_notice(public), encoding="utf-8")
        os.replace(working / "pictures", target)
    except OSError as error:
        raise disk_error(error, target) from error
    finally:
        if working is not None:
            shutil.rmtree(working, ignore_errors=True)
    return target


def _check_disk(public: PublicSet) -> None:
    needed = _DISK_FACTOR * public.megabytes * 10**6
    free = shutil.disk_usage(data_dir()).free
    if free < needed:
        raise DiskError(
            f"unpacking needs up to {format_bytes(needed)}, free are {format_bytes(free)}",
            where=data_dir(),
            remedy="free some space or choose another --home",
        )


def _fetch(name: str, public: PublicSet, folder: Path) -> dict[str, Any]:
    """Download and open a set: torchvision data sets by the folder they are written to.

    Raises:
        DataError: for anything that goes wrong on the way.
    """
    try:
        # torchvision prints; the engine's standard output belongs to its answers.
        with contextlib.redirect_stdout(sys.stderr), _only_data_from_archives():
            return _torchvision_sets(name, str(folder))
    except ImportError as error:
        raise UsageError(
            f"{name} needs the package {error.name}",
            where="--download",
            remedy=f"pip install {error.name}",
        ) from error
    except _BROKEN as error:
        local = isinstance(error, OSError) and error.filename is not None
        if local and not isinstance(error, URLError):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"the download failed: {lines[-1][:150]}",
            where=public.homepage,
            remedy="check the connection and try again",
        ) from error


@contextlib.contextmanager
def _only_data_from_archives() -> Iterator[None]:
    """Let tar archives write plain files and folders inside their own folder, and nothing else.

    torchvision names no extraction filter, and before Python 3.14 the default is to trust.
    """
    if not hasattr(tarfile, "data_filter"):  # Python 3.11.3 or older: the checksum must do
        yield
        return
    before = vars(tarfile.TarFile)["extraction_filter"]
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before


def _torchvision_sets(name: str, root: str) -> dict[str, Any]:
    from torchvision import datasets

    def by_flag(kind: Any) -> dict[str, Any]:
        return {
            "train": kind(root, train=True, download=True),
            "test": kind(root, train=False, download=True),
        }

    def by_split(kind: Any, **names: str) -> dict[str, Any]:
        return {part: kind(root, split=split, download=True) for part, split in names.items()}

    match name:
        case "cifar10":
            return by_flag(datasets.CIFAR10)
        case "cifar100":
            return by_flag(datasets.CIFAR100)
        case "mnist":
            return by_flag(datasets.MNIST)
        case "fashion-mnist":
            return by_flag(datasets.FashionMNIST)
        case "stl10":
            return by_split(datasets.STL10, train="train", test="test")
        case "flowers102":
            import scipy.io  # type: ignore[import-untyped]  # noqa: F401  before 345 MB, not after

            return by_split(datasets.Flowers102, train="train", val="val", test="test")
        case "oxford-pets":
            return by_split(datasets.OxfordIIITPet, train="trainval", test="test")
        case _:
            return {"": datasets.EuroSAT(root, download=True)}


def _write_pictures(parts: dict[str, Any], folder: Path, report: Progress) -> None:
    """Write every picture to ``folder/PART/CLASS/NUMBER.png`` or ``.jpg``."""
    total = sum(len(part) for part in parts.values())
    done = 0
    for part, pictures in parts.items():
        names = [_folder_name(name) for name in pictures.classes]
        for class_name in names:
            (folder / part / class_name).mkdir(parents=True, exist_ok=True)
        for number, (image, label) in enumerate(_items(pictures)):
            _write(image, folder / part / names[label], number)
            done += 1
            if done % max(1, total // 100) == 0 or done == total:
                report(done, total, "writing pictures")


def _items(pictures: Any) -> Iterator[tuple[Image.Image, int]]:
    for index in range(len(pictures)):
        image, label = pictures[index]
        yield image, int(label)


def _write(image: Image.Image, folder: Path, number: int) -> None:
    from PIL import Image

    side = min(image.size)
    if side <= _SMALL_SIDE:
        image.save(folder / f"{number:05}.png")
        return
    if side > _LARGEST_SHORTER_SIDE:
        scale = _LARGEST_SHORTER_SIDE / side
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.BICUBIC)
    image.convert("RGB").save(folder / f"{number:05}.jpg", quality=_JPEG_QUALITY)


def _folder_name(name: str) -> str:
    """Return a class name that any file system takes: ``T-shirt/top`` → ``T-shirt-top``."""
    digit, dash, _ = name.partition(" - ")  # MNIST says "0 - zero"
    return digit if dash else name.replace("/", "-")


def _notice(public: PublicSet) -> str:
    return f"{public.title}\nSource: {public.homepage}\nLicence: {public.licence}\n"
