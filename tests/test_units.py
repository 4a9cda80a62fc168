"""Amounts as people type them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vixtui.errors import UsageError
from vixtui.units import parse_bytes, parse_seconds

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4GB", 4 * 10**9),
        ("3.5GiB", 3_758_096_384),
        ("800MB", 800 * 10**6),
        ("50%", 500),
        ("100%", 1000),
        (" .5 gb ", 5 * 10**8),
        ("8g", 8 * 10**9),
        ("1tib", 2**40),
        ("1B", 1),
    ],
)
def test_memory(text: str, count: int) -> None:
    assert parse_bytes(text, whole=1000) == count


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "4", "GB", "-4GB", "+4GB", "0GB", "0%", "101%", "1e9B", "4 G B", "4,5GB", "4GBs",
        "nanGB", "infGB", "0x4GB", "4GB 2GB", "0.1B", "9999999999GB", "1" * 400 + "GB", "½GB",
        "4\x00GB", "4GB\x1b[2J", "four GB",
    ],
)  # fmt: skip
def test_other_amounts_of_memory_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"not an amount of memory.*\(--budget\).*4GB") as caught:
        parse_bytes(text, whole=1000)
    assert "\x1b" not in caught.value.message


def test_half_of_nothing_is_nothing() -> None:
    assert parse_bytes("50%", whole=0) == 0


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_every_whole_amount_of_memory_is_read_exactly(number: int, unit: str, gap: str) -> None:
    for text in (f"{number}{gap}{unit}", f"{number}{gap}{unit.upper()}", f"{number}.0{unit}"):
        assert parse_bytes(text, whole=0) == number * UNITS[unit]


@given(st.floats(0.01, 100), st.integers(0, 2**45))
def test_a_share_is_never_more_than_the_whole(percent: float, whole: int) -> None:
    assert 0 <= parse_bytes(f"{percent:.4f}%", whole=whole) <= whole


# Text, and what is almost an amount.
AMOUNTS = st.text() | st.lists(
    st.sampled_from([*"0123456789.%smhdkMGTiB -", "²", "٣", "min", "GB", "99999999", "s" * 200])
).map("".join)


@given(AMOUNTS)
@example("1" * 100_000)
@example("1s" * 100_000)
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    with suppress(UsageError):
        assert parse_bytes(text, whole=10**12) > 0
    with suppress(UsageError):
        assert parse_seconds(text) > 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2m", 120),
        ("2min", 120),
        ("1h30m", 5400),
        ("1 H 30 M", 5400),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("365d", 365 * 86400),
        ("1h30s", 3630),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "90", "s", "-2m", "0s", "366d", "2x", "2m!", "1:30", "1e3s", "m2", "nan s", "1.2.3s",
     "9" * 400 + "s", "4%", "2m\x1b"],
)  # fmt: skip
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a duration.*\(--time\).*90s, 2m") as caught:
        parse_seconds(text)
    assert "\x1b" not in caught.value.message


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_every_duration_is_read_exactly(hours: int, minutes: int, seconds: int) -> None:
    whole = 3600 * hours + 60 * minutes + seconds
    if whole:
        assert parse_seconds(f"{hours}h{minutes}m{seconds}s") == whole
        assert parse_seconds(f"{whole}s") == whole
