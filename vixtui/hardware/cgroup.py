"""Limits that a container or a service manager puts on this process (Linux control groups).

psutil reports the whole host; a process in a container is killed long before that is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from vixtui.hardware.machine import Figure


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """One limit on this process: its bytes, and what of them is still free.

    Page cache that nobody uses (`inactive_file`) counts as free: the kernel gives it back.
    """

    limit: Figure
    free_bytes: int


# "No limit" in version 1 is the largest number of whole pages that fits 63 bits.
_UNLIMITED = 2**62


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """Return every memory limit from this process's group up to the top; empty off Linux.

    Args:
        root: what stands for ``/``; tests give a folder of their own.
    """
    found = []
    for folder in _folders(root, "memory"):
        entry = _limit_v2(folder) or _limit_v1(folder)
        if entry is not None:
            found.append(entry)
    return found


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return how many cores' worth of time this process may use, or None without a limit."""
    quotas = []
    for folder in _folders(root, "cpu"):
        words = (_read(folder / "cpu.max") or "").split()
        if not words:
            parts = (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
            words = [part.strip() for part in parts if part]
        if len(words) == 2 and all(word.isdigit() and int(word) for word in words):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def oom_kills(root: Path = Path("/")) -> dict[str, int]:
    """Return how many processes the kernel has ended for lack of memory; Linux.

    Args:
        root: what stands for ``/``; tests give a folder of their own.

    Returns:
        Counts that rise, by the files they are from: this process's group first, then the groups
        around it, at last the whole machine.
    """
    folders = _folders(root, "memory")
    version_2 = [folder / "memory.events" for folder in folders]
    version_1 = [folder / "memory.oom_control" for folder in folders]
    counters = [path for path in version_2 if path.is_file()]
    # In version 1 a group does not count what happens in those inside it.
    counters += [path for path in version_1 if path.is_file()][:1]
    counters += [path for path in (root / "proc/vmstat",) if path.is_file()]
    return {str(path): _statistic(path, "oom_kill") for path in counters}


def _folders(root: Path, controller: str) -> list[Path]:
    """Return the folders that may limit this process, innermost first.

    In a container the group's path often does not exist below the mount, which then is the
    group itself: hence every existing ancestor up to the mount counts.
    """
    folders: list[Path] = []
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        fields = line.split(":", 2)
        if len(fields) != 3:
            continue
        _, controllers, path = fields
        if not controllers:
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif controller in controllers.split(","):
            mounts = [root / "sys/fs/cgroup" / name for name in (controller, controllers)]
        else:
            continue
        inner = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for mount in mounts:
            folders += [mount.joinpath(*inner[:depth]) for depth in range(len(inner), -1, -1)]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _limit_v2(folder: Path) -> MemoryLimit | None:
    limits = [
        (value, name)
        for name in ("memory.max", "memory.high")
        if (value := _number(folder / name)) is not None
    ]
    if not limits:
        return None
    limit, name = min(limits)
    usage = _number(folder / "memory.current") or 0
    cache = _statistic(folder / "memory.stat", "inactive_file")
    return _memory_limit(limit, f"cgroup v2 {name}", usage - cache)


def _limit_v1(folder: Path) -> MemoryLimit | None:
    limit = _number(folder / "memory.limit_in_bytes")
    if limit is None or limit >= _UNLIMITED:
        return None
    usage = _number(folder / "memory.usage_in_bytes") or 0
    cache = _statistic(folder / "memory.stat", "total_inactive_file")
    return _memory_limit(limit, "cgroup v1 memory.limit_in_bytes", usage - cache)


def _memory_limit(limit: int, source: str, used: int) -> MemoryLimit:
    return MemoryLimit(Figure(limit, source), free_bytes=min(limit, max(0, limit - used)))


def _number(path: Path) -> int | None:
    """Return the number in a file; ``max`` (no limit), nonsense and absence are None."""
    text = (_read(path) or "").strip()
    return int(text) if text.isdigit() else None


def _statistic(path: Path, name: str) -> int:
    for line in (_read(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
