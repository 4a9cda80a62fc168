"""What the engine tells its C library."""

from __future__ import annotations

import os

import pytest

from vixtui.runs.heap import heap_environment


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch):
    """Let the C library be of a name and version."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    return lambda name: monkeypatch.setattr(os, "confstr", lambda _: name, raising=False)


def settings() -> dict[str, str]:
    pairs = heap_environment()["GLIBC_TUNABLES"].split(":")
    return dict(pair.split("=") for pair in pairs)


def test_freed_blocks_stay_with_the_engine_and_are_not_split_up(libc) -> None:
    libc("glibc 2.36")
    found = settings()
    assert int(found["glibc.malloc.mmap_threshold"]) >= 2**30
    assert int(found["glibc.malloc.trim_threshold"]) >= 2**40
    assert found["glibc.malloc.tcache_count"] == found["glibc.malloc.mxfast"] == "0"


def test_an_older_glibc_gets_the_largest_threshold_that_it_takes(libc) -> None:
    """It would refuse more, and give every block of 128 KiB back instead."""
    libc("glibc 2.34")
    assert settings()["glibc.malloc.mmap_threshold"] == str(32 * 2**20)


@pytest.mark.parametrize("name", [None, "", "musl 1.2.4", "glibc unknown"])
def test_other_c_libraries_are_left_alone(libc, name: str | None) -> None:
    libc(name)
    assert heap_environment() == {}


def test_where_nobody_knows_the_c_library_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "confstr", raising=False)
    assert heap_environment() == {}


def test_what_the_user_sets_wins(libc, monkeypatch: pytest.MonkeyPatch) -> None:
    libc("glibc 2.36")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=7")
    assert settings()["glibc.malloc.tcache_count"] == "7"
