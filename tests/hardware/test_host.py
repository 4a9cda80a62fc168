"""Memory and cores as a container sees them, from fake control-group trees."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from vixtui.hardware.cgroup import memory_limits, oom_kills
from vixtui.hardware.host import cpu_name, disk_free, host_memory, usable_cores
from vixtui.hardware.probe import probe

GIB = 2**30


@pytest.fixture(autouse=True)
def host_of_64_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total=64 * GIB, available=50 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_without_limits_the_host_counts(tmp_path: Path) -> None:
    total, free = host_memory(tmp_path)
    assert (total.bytes, total.source) == (64 * GIB, "psutil")
    assert (free.bytes, free.source) == (50 * GIB, "psutil")


def test_v2_limit_counts_and_inactive_page_cache_is_free(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/box"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/box\n",
            f"{group}/memory.max": f"{8 * GIB}\n",
            f"{group}/memory.high": "max\n",
            f"{group}/memory.current": f"{5 * GIB}\n",
            f"{group}/memory.stat": f"anon {3 * GIB}\ninactive_file {2 * GIB}\n",
        },
    )
    total, free = host_memory(tmp_path)
    assert (total.bytes, total.source) == (8 * GIB, "cgroup v2 memory.max")
    assert (free.bytes, free.source) == (5 * GIB, "cgroup v2 memory.max less usage")


def test_v2_limit_of_a_parent_group_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/slice/service\n",
            "sys/fs/cgroup/slice/service/memory.max": "max\n",
            "sys/fs/cgroup/slice/service/memory.current": "100\n",
            "sys/fs/cgroup/slice/memory.max": "max\n",
            "sys/fs/cgroup/slice/memory.high": f"{2 * GIB}\n",
            "sys/fs/cgroup/slice/memory.current": f"{GIB}\n",
        },
    )
    total, free = host_memory(tmp_path)
    assert (total.bytes, total.source) == (2 * GIB, "cgroup v2 memory.high")
    assert free.bytes == GIB


def test_v1_container_whose_path_is_not_below_its_mount(tmp_path: Path) -> None:
    mount = "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/0123abcd\n1:cpu,cpuacct:/docker/0123abcd\n",
            f"{mount}/memory.limit_in_bytes": f"{4 * GIB}\n",
            f"{mount}/memory.usage_in_bytes": f"{3 * GIB}\n",
            f"{mount}/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}\n",
        },
    )
    total, free = host_memory(tmp_path)
    assert (total.bytes, total.source) == (4 * GIB, "cgroup v1 memory.limit_in_bytes")
    assert free.bytes == 2 * GIB


def test_the_tightest_of_nested_v1_limits_counts_whichever_group_has_it(tmp_path: Path) -> None:
    mount = "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/slurm/job/step\n0::/\n",
            f"{mount}/slurm/job/step/memory.limit_in_bytes": f"{16 * GIB}\n",
            f"{mount}/slurm/job/step/memory.usage_in_bytes": f"{GIB}\n",
            f"{mount}/slurm/job/memory.limit_in_bytes": f"{8 * GIB}\n",
            f"{mount}/slurm/job/memory.usage_in_bytes": f"{7 * GIB}\n",
            f"{mount}/memory.limit_in_bytes": "9223372036854771712\n",
            f"{mount}/memory.usage_in_bytes": f"{30 * GIB}\n",
        },
    )
    total, free = host_memory(tmp_path)
    assert (total.bytes, free.bytes) == (8 * GIB, GIB)


def test_a_limit_counts_where_the_usage_cannot_be_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/box/memory.stat": f"inactive_file {GIB}\n",
        },
    )
    assert [figure.bytes for figure in host_memory(tmp_path)] == [2 * GIB, 2 * GIB]


@pytest.mark.parametrize(
    ("group", "counter"),
    [
        ("0::/box\n", "sys/fs/cgroup/box/memory.events"),
        ("4:memory:/box\n", "sys/fs/cgroup/memory/box/memory.oom_control"),
        ("0::/\n", "proc/vmstat"),
    ],
)
def test_kills_for_lack_of_memory_are_counted(tmp_path: Path, group: str, counter: str) -> None:
    write(tmp_path, {"proc/self/cgroup": group, counter: "oom 5\noom_kill 2\n"})
    assert oom_kills(tmp_path) == {str(tmp_path / counter): 2}


def test_without_counters_no_kill_is_seen(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == {}


@pytest.mark.parametrize(
    ("group", "counter", "counts"),
    [
        ("0::/box/inner\n", "sys/fs/cgroup/{}memory.events", [1, 2, 3]),
        ("4:memory:/box/inner\n", "sys/fs/cgroup/memory/{}memory.oom_control", [1, 3]),
    ],
)
def test_kills_nearby_come_before_those_further_out(
    tmp_path: Path, group: str, counter: str, counts: list[int]
) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": group,
            counter.format("box/inner/"): "oom_kill 1\n",
            counter.format("box/"): "oom_kill 2\n",
            "proc/vmstat": "oom_kill 3\n",
        },
    )
    assert list(oom_kills(tmp_path).values()) == counts


def test_v1_number_that_means_unlimited_is_no_limit(tmp_path: Path) -> None:
    mount = "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/\n",
            f"{mount}/memory.limit_in_bytes": "9223372036854771712\n",
            f"{mount}/memory.usage_in_bytes": "1000\n",
        },
    )
    assert memory_limits(tmp_path) == []
    assert [figure.source for figure in host_memory(tmp_path)] == ["psutil", "psutil"]


def test_overdrawn_limit_means_nothing_is_free(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/memory.current": "2000\n",
        },
    )
    assert host_memory(tmp_path)[1].bytes == 0


@pytest.mark.parametrize("content", ["", "nonsense", "0::", "0::/../../outside\n", "\x00\n:::::"])
def test_odd_cgroup_file_is_survived(tmp_path: Path, content: str) -> None:
    write(tmp_path, {"proc/self/cgroup": content})
    assert host_memory(tmp_path)[0].bytes == 64 * GIB


def test_cpu_quota_limits_the_cores(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/cpu.max": "100000 100000\n"},
    )
    assert usable_cores(tmp_path) == 1


def test_unlimited_cpu_quota_leaves_the_cores(tmp_path: Path) -> None:
    write(tmp_path, {"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/cpu.max": "max 100000\n"})
    assert usable_cores(tmp_path) == usable_cores(tmp_path / "nothing")


def test_cpu_name_is_made_safe(tmp_path: Path) -> None:
    write(tmp_path, {"proc/cpuinfo": "processor : 0\nmodel name : Evil\x1b[31m CPU\n"})
    assert cpu_name(tmp_path) == "Evil\\x1b[31m CPU"


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "a" / "b").bytes > 0


def test_probe_gives_every_figure_a_source_and_an_age() -> None:
    machine = probe()
    assert machine.cores >= 1
    assert machine.cpu
    for figure in (machine.ram_total, machine.ram_free, machine.disk_free):
        assert figure.bytes > 0
        assert figure.source
        assert 0 <= figure.age_seconds < 3600
    assert machine.gpus or machine.notes
