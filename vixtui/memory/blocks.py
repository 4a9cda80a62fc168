"""Stretches of memory that torch's caching allocator cuts its segments into; see `allocator`."""

from __future__ import annotations

from bisect import bisect_left, insort


class Block:
    """A stretch of a segment; all stretches of a segment form a chain in order of address."""

    __slots__ = ("address", "allocated", "before", "behind", "mapped", "pool", "size")

    def __init__(self, pool: Pool, address: int, size: int, *, mapped: bool = True) -> None:
        self.pool = pool
        self.address = address
        self.size = size
        self.mapped = mapped  # backed by memory; always so in native segments
        self.allocated = False
        self.before: Block | None = None
        self.behind: Block | None = None

    @property
    def whole(self) -> bool:
        """Whether the block is the whole segment."""
        return self.before is None and self.behind is None

    @property
    def expandable_bytes(self) -> int:
        """Its size and that of the unmapped stretch behind it."""
        behind = self.behind
        return self.size + (behind.size if behind is not None and not behind.mapped else 0)

    def cut(self, size: int) -> Block:
        """Keep the first `size` bytes and return the rest, as a block behind this one."""
        rest = Block(self.pool, self.address + size, self.size - size, mapped=self.mapped)
        rest.before, rest.behind = self, self.behind
        if self.behind is not None:
            self.behind.before = rest
        self.behind = rest
        self.size = size
        return rest


class Pool:
    """The free blocks of one kind, small or large, and the unmapped stretches among them."""

    def __init__(self, page_bytes: int) -> None:
        self.page_bytes = page_bytes
        self._free: list[tuple[int, int]] = []  # (size, address): best fit is the first that fits
        self._unmapped: list[int] = []
        self._blocks: dict[int, Block] = {}

    def add(self, block: Block) -> None:
        """Make a block available."""
        self._blocks[block.address] = block
        if block.mapped:
            insort(self._free, (block.size, block.address))
        else:
            insort(self._unmapped, block.address)

    def remove(self, block: Block) -> None:
        """Take out a block that is available."""
        del self._blocks[block.address]
        if block.mapped:
            del self._free[bisect_left(self._free, (block.size, block.address))]
        else:
            del self._unmapped[bisect_left(self._unmapped, block.address)]

    def best_fit(self, size: int, *, expandable: bool) -> Block | None:
        """Return the smallest free block of at least `size` bytes (get_free_block).

        With expandable segments a block counts with what it could grow to, and the search goes
        on while the next one could grow to less.
        """
        place = bisect_left(self._free, (size, 0))
        if place == len(self._free):
            return None
        best = self._blocks[self._free[place][1]]
        if expandable:
            for _, address in self._free[place + 1 :]:
                block = self._blocks[address]
                if block.expandable_bytes >= best.expandable_bytes:
                    break
                best = block
        return best

    def free_blocks(self) -> list[Block]:
        """Return all free blocks with memory behind them."""
        return [self._blocks[address] for _, address in self._free]

    def unmapped_blocks(self) -> list[Block]:
        """Return all stretches without memory, lowest address first."""
        return [self._blocks[address] for address in self._unmapped]

    def add_merged(self, block: Block) -> None:
        """Make a block available, one with its free neighbours (try_merge_blocks)."""
        before, behind = block.before, block.behind
        if before is not None and not before.allocated and before.mapped == block.mapped:
            self.remove(before)
            block.address = before.address
            block.size += before.size
            block.before = before.before
            if block.before is not None:
                block.before.behind = block
        if behind is not None and not behind.allocated and behind.mapped == block.mapped:
            self.remove(behind)
            block.size += behind.size
            block.behind = behind.behind
            if block.behind is not None:
                block.behind.before = block
        self.add(block)
