"""``vixtui cache``: what decoded pictures take up, and how to get rid of them."""

from __future__ import annotations

import json

import pytest

from vixtui.data.cache import writing

SOURCE = "/pictures/\x1b]0;owned\x07"


@pytest.fixture
def kept(home):
    path = home / "cache" / "0-1.pixels"
    with writing(path, SOURCE, 1000) as writer:
        writer.add(bytes(2000), [None, None])
        writer.finish()
    return path


def test_an_empty_cache_is_listed_and_cleared(vixtui, home):
    assert vixtui("cache").out == f"0 files, 0 B in {home / 'cache'}\n"
    assert json.loads(vixtui("cache", "clear", "--json").out)["freed_bytes"] == 0
    assert not home.exists()


def test_the_list_says_whose_pictures_take_up_how_much(vixtui, kept):
    result = vixtui("cache", "list")
    assert "\x1b" not in result.out
    assert result.out.count("2.10 kB") == 2
    listed = json.loads(vixtui("cache", "list", "--json").out)
    assert [file["source"] for file in listed["files"]] == [SOURCE]
    assert listed["bytes"] == kept.stat().st_size


def test_clearing_frees_what_was_listed(vixtui, kept):
    size = kept.stat().st_size
    assert json.loads(vixtui("cache", "clear", "--json").out)["freed_bytes"] == size
    assert not kept.exists()
    assert vixtui("cache", "clear").err == "freed 0 B\n"
