"""Where a run's decoded pictures are: mapped from the cache, or nowhere until they are asked for.

Both give the same bytes, and neither keeps more than a few batches in memory.
"""

from __future__ import annotations

import json
import mmap
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from vixtui.data.cache import (
    CacheWriter,
    Known,
    as_json,
    cache_path,
    from_json,
    open_cache,
    writing,
)
from vixtui.data.decode import to_tensor
from vixtui.data.split import Item
from vixtui.data.tensors import Images, Rows, load_picture
from vixtui.errors import DataError
from vixtui.files import disk_error
from vixtui.memory.engine import MOST_MAPPED_BYTES
from vixtui.runs.config import DataConfig

_CHUNK = 32
_CHUNKS_AHEAD = 2  # for each thread


class Mapped:
    """Rows of a cache file; unless it is small, what was read leaves this process's memory.

    Args:
        mapping: the file.
        shape: c, h, w.
        rows: which rows these pictures are, (n,) int64.
    """

    def __init__(self, mapping: mmap.mmap, shape: tuple[int, int, int], rows: Tensor) -> None:
        self._mapping, self._shape, self._rows = mapping, shape, rows
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to
            whole = torch.frombuffer(mapping, dtype=torch.uint8)
        size = shape[0] * shape[1] * shape[2]
        self._all = whole[: len(whole) // size * size].view(-1, *shape)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Rows, /) -> Tensor:
        chosen = self._all.index_select(0, self._rows[rows])
        # Clean pages stay in the system's cache, but would count as memory of this process.
        if len(self._mapping) > MOST_MAPPED_BYTES and hasattr(self._mapping, "madvise"):
            self._mapping.madvise(mmap.MADV_DONTNEED)
        return chosen


class Streamed:
    """Pictures decoded by threads when they are asked for, or shortly before.

    Of those that `expect` names, no more than half are decoded and not yet given away: the pictures
    of an update, while the model learns from the one before.

    Args:
        data: where they come from, and height, width, channels.
        items: the usable ones, in order.
        threads: decoders at a time.
    """

    def __init__(self, data: DataConfig, items: Sequence[Item], threads: int) -> None:
        self._data, self._items = data, items
        self._pool = ThreadPoolExecutor(max(1, threads), thread_name_prefix="decoder")
        self._begun: dict[int, Future[Tensor]] = {}
        # Mixing asks for the last picture of a request in the next one, and for the first of all.
        self._kept: dict[int, Future[Tensor]] = {}
        self._uses: Counter[int] = Counter()
        self._waiting: deque[int] = deque()
        self._room = 0

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, rows: Rows, /) -> Tensor:
        wanted, data = self._numbers(rows), self._data
        one_after_the_other = isinstance(rows, slice)  # as in a validation
        if one_after_the_other:
            self._expect(wanted, room=len(wanted))
        shape = (len(wanted), data.in_channels, data.image_height, data.image_width)
        chosen = torch.empty(shape, dtype=torch.uint8)
        for number in wanted:
            self._begin(number)
        left = Counter(wanted)
        for place, number in enumerate(wanted):
            chosen[place] = self._begun[number].result()
            left[number] -= 1
            self._uses[number] -= 1
            if not left[number]:
                self._give_away(number, keep=number in (wanted[0], wanted[-1]))
        if one_after_the_other:
            following = range(wanted[-1] + 1 if wanted else 0, len(self._items))
            self._expect(following[: len(wanted)], room=len(wanted))
        return chosen

    def expect(self, rows: Tensor) -> None:
        """Begin to decode the pictures that are asked for next, in order; forget all others."""
        numbers = self._numbers(rows)
        self._expect(numbers, room=-(-len(numbers) // 2))

    def _expect(self, numbers: Sequence[int], *, room: int) -> None:
        self._uses, self._waiting, self._room = Counter(numbers), deque(numbers), room
        begun = self._kept | self._begun
        for number in begun.keys() - self._uses.keys():
            begun.pop(number).cancel()
        self._begun, self._kept = begun, {}
        self._fill()

    def _fill(self) -> None:
        """Begin with as many of the expected pictures as there is room for."""
        while self._waiting and len(self._begun) < self._room:
            number = self._waiting.popleft()
            if self._uses[number] > 0:
                self._begin(number)

    def _begin(self, number: int) -> None:
        if number not in self._begun:
            kept = self._kept.pop(number, None)
            self._begun[number] = kept or self._pool.submit(self._decoded, number)

    def _give_away(self, number: int, *, keep: bool) -> None:
        """Let go of a picture that is not expected again, and begin with another."""
        if self._uses[number] > 0:
            return
        given = self._begun.pop(number)
        if keep:
            self._kept[number] = given
        self._fill()

    def _numbers(self, rows: Rows) -> list[int]:
        if isinstance(rows, slice):
            return list(range(len(self._items))[rows])
        return [int(row) for row in rows.tolist()]

    def _decoded(self, number: int) -> Tensor:
        try:
            return to_tensor(load_picture(self._data, self._items[number])[0])
        except DataError as error:
            raise DataError(
                f"a picture has changed since the run started, {error.what}",
                where=error.where,
                remedy="put it back and resume the run",
            ) from error


class Batch:
    """Some pictures, not yet read.

    Args:
        images: of which they are some.
        chosen: which, (b,) int64.
    """

    def __init__(self, images: Images, chosen: Tensor) -> None:
        self._images, self._chosen = images, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, rows: Rows, /) -> Tensor:
        return self._images[self._chosen[rows]]


@dataclass(frozen=True, slots=True)
class Team:
    """Processes of a machine that open the same pictures: each decodes a part for all.

    Args:
        index: this one's; the first writes the cache.
        size: how many.
        exchange: returns the bytes of each, in order; all call it equally often.
    """

    index: int
    size: int
    exchange: Callable[[bytes], list[bytes]]


ALONE = Team(0, 1, lambda content: [content])


@dataclass(frozen=True, slots=True)
class Store:
    """All pictures of a run.

    Args:
        known: facts or what is wrong, picture by picture.
        images: those of some items, all of them usable.
    """

    known: Mapping[Item, Known]
    images: Callable[[Sequence[Item]], Images]


def open_store(
    data: DataConfig,
    items: Sequence[Item],
    *,
    threads: int,
    use_cache: bool,
    warn: Callable[[str], None],
    within: Sequence[Item] = (),
    team: Team = ALONE,
) -> Store:
    """Look through some pictures, which decodes each once unless the cache has it.

    Args:
        data: where they come from, and height, width, channels.
        items: different ones; in any order.
        threads: decoders at a time.
        use_cache: read and write the cache.
        warn: told one line, safe to show, when the cache cannot be written.
        within: all pictures of a run of which these are a part: its cache is read if it is there.
        team: the processes of this machine that open the same pictures now.
    """
    ordered = _ordered(items)
    use_cache = use_cache and bool(ordered)
    found = _cached(data, _ordered(within)) or _cached(data, ordered) if use_cache else None
    if all(team.exchange(b"found" if found else b"")) and found:
        return found
    decoded = _decoded_by(team, data, ordered, threads)
    if use_cache and team.index == 0:
        known = _write_cache(data, ordered, decoded, warn)
    else:
        known = [entry for _, part in decoded for entry in part]
    team.exchange(b"")  # what the first has written is there
    found = _cached(data, ordered) if use_cache else None
    return found or Store(
        dict(zip(ordered, known, strict=True)), lambda chosen: Streamed(data, chosen, threads)
    )


def _ordered(items: Sequence[Item]) -> list[Item]:
    return sorted(items, key=lambda item: (isinstance(item, str), item))


def _row_bytes(data: DataConfig) -> int:
    return data.in_channels * data.image_height * data.image_width


def _cached(data: DataConfig, ordered: Sequence[Item]) -> Store | None:
    """Return pictures from their cache file, if there is a sound one."""
    if not ordered:
        return None
    path = cache_path(data, ordered)
    found = open_cache(path, count=len(ordered), row_bytes=_row_bytes(data))
    if found is None:
        return None
    shape = (data.in_channels, data.image_height, data.image_width)
    numbers = {item: number for number, item in enumerate(ordered)}

    def mapped(chosen: Sequence[Item]) -> Images:
        rows = torch.tensor([numbers[item] for item in chosen], dtype=torch.int64)
        return Mapped(found.rows, shape, rows)

    return Store(dict(zip(ordered, found.known, strict=True)), mapped)


_Decoded = tuple[bytes, list[Known]]
"""Some pictures one after the other: their rows, and what is known of them."""


def _write_cache(
    data: DataConfig,
    items: Sequence[Item],
    decoded: Iterator[_Decoded],
    warn: Callable[[str], None],
) -> Sequence[Known]:
    """Put decoded pictures into a new cache file; without room for it, only decode them."""
    path = cache_path(data, items)
    known: list[Known] = []

    def give_up(error: OSError) -> None:
        warn(
            f"no cache of decoded pictures, they are decoded each time anew: "
            f"{disk_error(error, path.parent).message}"
        )

    def write(writer: CacheWriter) -> None:
        for rows, part in decoded:
            known.extend(part)
            writer.add(rows, part)
        writer.finish()

    try:
        with writing(path, data.source, len(items) * _row_bytes(data)) as writer:
            write(writer)
    except OSError as error:
        give_up(error)
        for _, part in decoded:
            known.extend(part)
    return known


def _decoded_by(
    team: Team, data: DataConfig, items: Sequence[Item], threads: int
) -> Iterator[_Decoded]:
    """Yield all pictures in order, of which each process of a team decodes its chunks."""
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    mine = _decoded(data, chunks[team.index :: team.size], threads)
    if team.size == 1:
        yield from mine
        return
    for _ in range(0, len(chunks), team.size):
        part = next(mine, None)
        for content in team.exchange(_packed(*part) if part else b""):
            if content:
                yield _unpacked(content)


def _packed(rows: bytes, known: Sequence[Known]) -> bytes:
    return json.dumps(list(map(as_json, known))).encode("ascii") + b"\n" + rows


def _unpacked(content: bytes) -> _Decoded:
    known, _, rows = content.partition(b"\n")
    return rows, list(map(from_json, json.loads(known)))


def _decoded(
    data: DataConfig, chunks: Iterable[Sequence[Item]], threads: int
) -> Iterator[_Decoded]:
    """Yield one chunk of pictures after the other."""

    def decode_some(some: Sequence[Item]) -> _Decoded:
        rows: list[bytes] = []
        known: list[Known] = []
        for item in some:
            try:
                image, facts = load_picture(data, item)
                rows.append(to_tensor(image).contiguous().numpy().tobytes())
                known.append(facts)
            except DataError as error:
                rows.append(bytes(_row_bytes(data)))
                known.append(error)
        return b"".join(rows), known

    waiting: deque[Future[_Decoded]] = deque()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(decode_some, chunk))
            if len(waiting) > _CHUNKS_AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
