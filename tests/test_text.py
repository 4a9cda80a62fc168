"""Outside text made safe, numbers made readable."""

from __future__ import annotations

import math
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui.text import format_bytes, format_count, format_percent, format_seconds, safe

INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What may not come out of `safe`, lone surrogates included.
ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT, st.integers(1, 400))
def test_no_invisible_character_gets_through_and_the_length_is_capped(text: str, cap: int) -> None:
    shown = safe(text, cap)
    assert not {unicodedata.category(char) for char in shown} & INVISIBLE
    assert len(shown) <= cap
    shown.encode("utf-8")


@given(st.text(st.characters(categories=("L", "N", "P", "S", "M", "Zs")), max_size=300))
def test_ordinary_text_is_kept(text: str) -> None:
    assert safe(text) == text


@given(ANY_TEXT)
def test_safe_text_stays_as_it_is(text: str) -> None:
    assert safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        ("\x7f\x9b2J", r"\x7f\x9b2J"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("a\u2028b\u200bc\ufeff", r"a\u2028b\u200bc\ufeff"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        ("\U000e0041", r"\U000e0041"),
        ("[red] 猫 é Ünïcode 🐱", "[red] 猫 é Ünïcode 🐱"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_spelt_out(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_long_text_ends_in_an_ellipsis_quickly() -> None:
    assert safe("x" * 300) == "x" * 300
    assert safe("x" * 301) == "x" * 299 + "…"
    assert safe("\x1b" * 10**8, 10) == r"\x1b\x1b\…"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (0.4, "0 B"),
        (-0.4, "0 B"),
        (999, "999 B"),
        (999.4, "999 B"),
        (999.5, "1.00 kB"),
        (1000, "1.00 kB"),
        (1024, "1.02 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_940, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (1_240_000, "1.24 MB"),
        (2**30, "1.07 GB"),
        (999.5e9, "1.00 TB"),
        (124e12, "124 TB"),
        (1.24e15, "1,240 TB"),
        (-1_240_000, "-1.24 MB"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_bytes(count: float, shown: str) -> None:
    assert format_bytes(count) == shown


@given(st.floats(1, 999e12))
def test_bytes_have_three_digits_and_are_nearly_right(count: float) -> None:
    number, unit = format_bytes(count).split()
    factor = 1000 ** ["B", "kB", "MB", "GB", "TB"].index(unit)
    assert float(number) * factor == pytest.approx(count, rel=0.006, abs=0.5)
    assert unit == "B" or len(number.replace(".", "")) == 3


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (9_999, "9,999"),
        (9_999.6, "10 k"),
        (10_000, "10 k"),
        (430_123, "430 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (4_300_000, "4.30 M"),
        (1_234_000_000, "1,234.00 M"),
        (-430_123, "-430 k"),
        (math.nan, "–"),
    ],
)
def test_counts(count: float, shown: str) -> None:
    assert format_count(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (-0.01, "0.0 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.95, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (60, "1:00"),
        (3599.4, "59:59"),
        (3599.6, "1:00:00"),
        (3725, "1:02:05"),
        (360_000, "100:00:00"),
        (-5, "-5.0 s"),
        (-125, "-2:05"),
        (math.nan, "–"),
        (math.inf, "–"),
        (-math.inf, "–"),
    ],
)
def test_seconds(seconds: float, shown: str) -> None:
    assert format_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0, "0.0 %"), (0.9731, "97.3 %"), (1, "100.0 %"), (-1e-9, "0.0 %"), (math.nan, "–")],
)
def test_percent(fraction: float, shown: str) -> None:
    assert format_percent(fraction) == shown
