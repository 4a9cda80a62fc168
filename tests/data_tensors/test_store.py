"""Decoded pictures come out of the cache, and without one, as they went in."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from vixtui.data import cache, cache_folder
from vixtui.data.cache import as_json
from vixtui.data.cache_folder import SUFFIX, cache_files, clear_cache
from vixtui.data.sources import open_source
from vixtui.data.split import Item
from vixtui.data.store import Batch, Mapped, Store, Streamed, Team, open_store
from vixtui.errors import DataError
from vixtui.hardware.machine import Figure
from vixtui.planning.start import data_config
from vixtui.runs.config import DataConfig

COUNT = 150


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of pictures, each of its own brightness."""
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(COUNT // 2):
            image = Image.new("RGB", (8, 8), (number, label, 0))
            image.save(tmp_path / "pictures" / name / f"{number:03}.png")
    return tmp_path / "pictures"


def every(source: str) -> tuple[DataConfig, list[Item]]:
    found = open_source(source)
    split = found.split
    return data_config(found), [item for item, _ in (*split.test, *split.validation, *split.train)]


def fail(message: str) -> None:
    raise AssertionError(message)


def opened(
    source: Path | str, *, use_cache: bool = True, warn: Callable[[str], None] = fail
) -> Tensor:
    data, items = every(str(source))
    found = open_store(data, items, threads=2, use_cache=use_cache, warn=warn)
    assert list(found.known) == sorted(items)
    usable = [item for item in items if not isinstance(found.known[item], DataError)]
    return found.images(usable)[:]


def cached() -> Path:
    [file] = cache_files()
    return file.path


@pytest.mark.parametrize("source", ["folder", "digits"])
def test_what_the_cache_gives_is_what_was_decoded(folder, decoded, source) -> None:
    source = folder if source == "folder" else source
    plain = opened(source, use_cache=False)
    assert not cache_files()

    first = opened(source)
    decoded.clear()
    second = opened(source)

    assert torch.equal(first, plain)
    assert torch.equal(second, plain)
    assert not decoded
    if source == folder:
        assert sorted(plain[:, 0, 0, 0].tolist()) == sorted(2 * list(range(COUNT // 2)))


def test_a_second_run_and_every_epoch_decode_nothing(folder, decoded) -> None:
    data, items = every(str(folder))
    open_store(data, items, threads=2, use_cache=True, warn=fail)
    assert sorted(decoded) == sorted(items)
    decoded.clear()

    again = open_store(data, items, threads=2, use_cache=True, warn=fail)
    images = again.images(items[10:90])
    for _ in range(3):
        for rows in torch.randperm(80).split(16):
            assert images[rows].shape == (16, 3, 8, 8)

    assert not decoded
    assert isinstance(images, Mapped)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's files")
@pytest.mark.parametrize(("size", "stays"), [(4 * 2**20, True), (64 * 2**20, False)])
def test_a_small_cache_stays_in_memory_a_large_one_does_not(tmp_path, size, stays) -> None:
    def mapped_bytes() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        pairs = [line.split()[:2] for line in lines if line.startswith(("RssFile", "RssShmem"))]
        return 1024 * sum(int(kilobytes) for _, kilobytes in pairs)

    path = tmp_path / "cache"
    path.touch()
    os.truncate(path, size)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        images = Mapped(mapping, (3, 64, 64), torch.arange(size // (3 * 64 * 64)))
        images[torch.arange(4)]  # whatever code that takes is in memory now
        mapping.madvise(mmap.MADV_DONTNEED)
        before = mapped_bytes()
        for rows in torch.arange(len(images)).split(64):
            images[rows]
        kept = mapped_bytes() - before
        del images
    assert kept > 0.9 * size if stays else kept < 2**20


def test_another_split_of_the_same_pictures_shares_the_cache(folder, decoded) -> None:
    data, items = every(str(folder))
    one = open_store(data, items, threads=2, use_cache=True, warn=fail).images(items)[:]
    decoded.clear()

    other = open_store(data, items[::-1], threads=2, use_cache=True, warn=fail).images(items)[:]

    assert not decoded
    assert torch.equal(one, other)


@pytest.mark.parametrize("change", ["content", "file added", "file gone", "image size"])
def test_a_changed_folder_is_decoded_anew_and_its_old_cache_goes(folder, decoded, change) -> None:
    opened(folder)
    old = cached()
    decoded.clear()
    path = folder / "cat" / "003.png"
    if change == "content":
        before = path.stat()
        path.write_bytes((folder / "dog" / "009.png").read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as some tools do
    elif change == "file added":
        Image.new("RGB", (8, 8), "red").save(folder / "cat" / "new.png")
    elif change == "file gone":
        path.unlink()
    else:
        data, items = every(str(folder))
        small = DataConfig(**{name: getattr(data, name) for name in data.__slots__} | {
            "image_height": 4, "image_width": 4,
        })  # fmt: skip
        open_store(small, items, threads=1, use_cache=True, warn=fail)
        assert len(decoded) == COUNT
        assert len(cache_files()) == 2  # another size is another place
        return

    images = opened(folder)

    assert len(decoded) == len(images)
    assert cached() != old
    assert torch.equal(images, opened(folder, use_cache=False))


@pytest.mark.parametrize(
    "damage", ["cut off", "empty", "a row", "the table", "the footer", "longer", "text"]
)
def test_a_damaged_cache_is_made_again(folder, decoded, damage) -> None:
    good = opened(folder)
    path = cached()
    content = bytearray(path.read_bytes())
    size = len(content)
    if damage in ("cut off", "empty", "longer", "text"):
        content = {
            "cut off": content[: size // 2],
            "empty": b"",
            "longer": content + b"\0",
            "text": b"hello" * 1000,
        }[damage]
    else:
        content[{"a row": 777, "the table": size - 50, "the footer": size - 20}[damage]] ^= 1
    path.write_bytes(content)
    decoded.clear()

    again = opened(folder)

    assert torch.equal(again, good)
    assert len(decoded) == COUNT
    decoded.clear()
    opened(folder)
    assert not decoded


def test_two_runs_at_once_both_get_the_right_pictures(folder, home) -> None:
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from test_store import opened;"
        "Path(sys.argv[3]).write_bytes(opened(sys.argv[2]).numpy().tobytes())"
    )
    outputs = [folder.parent / name for name in ("one", "two")]
    here = str(Path(__file__).parent)
    runs = [
        subprocess.Popen([sys.executable, "-c", program, here, str(folder), str(output)])
        for output in outputs
    ]
    assert [run.wait(600) for run in runs] == [0, 0]

    expected = opened(folder, use_cache=False).numpy().tobytes()
    assert [output.read_bytes() for output in outputs] == [expected, expected]
    assert [path.name for path in cached().parent.iterdir()] == [cached().name]


@pytest.mark.parametrize("moment", ["before", "while writing", "at the end"])
def test_a_full_disk_costs_the_cache_and_one_warning(folder, monkeypatch, moment) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def refuse(*_: object) -> None:
        raise full

    if moment == "before":
        nearly = Figure(3 * COUNT * 192, "test")  # room for it, but then for little else
        monkeypatch.setattr(cache, "disk_free", lambda _: nearly)
    else:
        name = "add" if moment == "while writing" else "finish"
        monkeypatch.setattr(cache.CacheWriter, name, refuse)
    told: list[str] = []

    images = opened(folder, warn=told.append)

    assert torch.equal(images, opened(folder, use_cache=False))
    [line] = told
    assert "no cache of decoded pictures" in line
    assert "the disk is full" in line
    assert not any(path.is_file() for path in cache_folder.cache_dir().rglob("*"))


@pytest.mark.parametrize("room", [True, False])
def test_processes_of_a_machine_decode_each_picture_once_for_all(
    folder, decoded, monkeypatch, room
) -> None:
    (folder / "cat" / "000.png").write_text("no picture")
    if not room:
        monkeypatch.setattr(cache, "disk_free", lambda _: Figure(0, "test"))
    data, items = every(str(folder))
    barrier, given, told = threading.Barrier(3), [b""] * 3, []

    def exchange(index: int, content: bytes) -> list[bytes]:
        given[index] = content
        barrier.wait(60)
        found = list(given)
        barrier.wait(60)
        return found

    def open_as(index: int) -> Store:
        team = Team(index, 3, partial(exchange, index))
        return open_store(data, items, threads=2, use_cache=True, warn=told.append, team=team)

    with ThreadPoolExecutor(3) as processes:
        stores = list(processes.map(open_as, range(3)))

    assert sorted(decoded) == sorted(items)
    assert len(told) == (not room)
    usable = [item for item in items if item != "cat/000.png"]
    for opened_one in stores:
        assert {item: as_json(known) for item, known in opened_one.known.items()} == {
            item: as_json(known) for item, known in stores[0].known.items()
        }
        assert isinstance(opened_one.known["cat/000.png"], DataError)
        images = opened_one.images(usable)
        assert isinstance(images, Mapped if room else Streamed)
        assert torch.equal(images[:], stores[0].images(usable)[:])


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_cache_folder_that_cannot_be_written_costs_the_cache(folder, home, monkeypatch) -> None:
    home.mkdir()
    (home / "cache").write_text("a file in the way")
    told: list[str] = []

    images = opened(folder, warn=told.append)

    assert len(images) == COUNT
    assert len(told) == 1


def test_unusable_pictures_are_known_without_looking_again(folder, decoded) -> None:
    (folder / "cat" / "003.png").write_text("hello")
    data, items = every(str(folder))
    first = open_store(data, items, threads=2, use_cache=True, warn=fail).known
    decoded.clear()

    second = open_store(data, items, threads=2, use_cache=True, warn=fail).known

    assert not decoded
    bad = second["cat/003.png"]
    assert isinstance(bad, DataError)
    assert "not a picture but text" in bad.message
    assert {item: getattr(known, "message", known) for item, known in first.items()} == {
        item: getattr(known, "message", known) for item, known in second.items()
    }


def test_streamed_pictures_are_decoded_when_asked_for_and_once_if_expected(folder, decoded) -> None:
    data, items = every(str(folder))
    images = open_store(data, items, threads=2, use_cache=False, warn=fail).images(items)
    assert isinstance(images, Streamed)
    expected = images[torch.arange(COUNT)]
    decoded.clear()
    rows = torch.tensor([5, 3, 99])

    images.expect(rows)
    # As mixing does: each picture has the one before for a partner, the first one the last.
    first, second = images[rows[[2, 0, 1]]], images[rows[[1, 2]]]

    assert sorted(decoded) == sorted(items[row] for row in (5, 3, 99))
    assert torch.equal(first, expected[rows[[2, 0, 1]]])
    assert torch.equal(second, expected[rows[[1, 2]]])
    assert torch.equal(Batch(images, rows)[torch.tensor([2, 0])], expected[[99, 5]])
    assert torch.equal(images[10:20], expected[10:20])
    assert images[0:0].shape == (0, 3, 8, 8)


def test_no_more_is_decoded_ahead_than_an_update_takes(folder, decoded) -> None:
    data, items = every(str(folder))
    images = open_store(data, items, threads=2, use_cache=False, warn=fail).images(items)
    assert isinstance(images, Streamed)
    expected, order = images[:], torch.randperm(COUNT)
    decoded.clear()

    def come_to(count: int) -> None:
        deadline = time.monotonic() + 60
        while len(decoded) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # for more, if more were begun
        assert len(decoded) == count

    images.expect(order[:100])  # an update of 50, and the next
    come_to(50)
    assert torch.equal(images[order[:20]], expected[order[:20]])
    come_to(70)
    assert torch.equal(images[order[20:50]], expected[order[20:50]])
    come_to(100)
    images.expect(order[50:150])
    come_to(100)
    assert torch.equal(images[order[50:100]], expected[order[50:100]])
    come_to(150)


def test_a_picture_that_vanishes_while_it_is_needed_is_named(folder) -> None:
    data, items = every(str(folder))
    images = open_store(data, items, threads=2, use_cache=False, warn=fail).images(items)
    (folder / str(items[7])).unlink()

    with pytest.raises(DataError, match=rf"changed since.*{items[7]}.*resume"):
        images[5:10]


def test_cached_pictures_outlive_their_files(folder) -> None:
    data, items = every(str(folder))
    images = open_store(data, items, threads=2, use_cache=True, warn=fail).images(items)
    before = images[:]
    for path in folder.rglob("*.png"):
        path.unlink()
    clear_cache()

    assert torch.equal(images[:], before)


def test_what_was_not_used_for_the_longest_time_makes_room(folder, monkeypatch) -> None:
    opened(folder)
    first = cached()
    os.utime(first, (1, 1))
    monkeypatch.setattr(cache_folder, "LIMIT_BYTES", first.stat().st_size + 1000)

    opened("digits")

    assert [file.source for file in cache_files()] == ["digits"]


def test_clearing_removes_what_is_done_and_what_was_abandoned(folder) -> None:
    opened(folder)
    size = cached().stat().st_size
    being_written, abandoned = (cached().parent / f".{name}{SUFFIX}" for name in ("new", "old"))
    being_written.write_bytes(b"half")
    abandoned.write_bytes(b"half a file")
    os.utime(abandoned, (1, 1))
    foreign = cached().parent / "notes.txt"
    foreign.write_text("mine")

    assert clear_cache() == size + 11

    assert sorted(path.name for path in foreign.parent.iterdir()) == [".new.pixels", "notes.txt"]
