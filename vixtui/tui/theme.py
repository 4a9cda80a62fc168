"""What the terminal can show, and the colours used on it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import ClassVar

from textual.scrollbar import ScrollBarRender
from textual.theme import Theme

# Okabe and Ito's colours, told apart by colour-blind people too.
CURVE_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#f0e442")

DARK = Theme(
    name="vixtui-dark",
    primary="#56b4e9",
    secondary="#e69f00",
    accent="#cc79a7",
    success="#2bbf95",
    warning="#e69f00",
    error="#ff7a45",
    foreground="#dde3ea",
    background="#0f1317",
    surface="#161b21",
    panel="#212830",
    dark=True,
)
LIGHT = Theme(
    name="vixtui-light",
    primary="#00609c",
    secondary="#8f5f00",
    accent="#8a3a66",
    success="#00664a",
    warning="#8f5f00",
    error="#a33f00",
    foreground="#1b2127",
    background="#fafafa",
    surface="#f0f2f4",
    panel="#dfe4e8",
    dark=False,
)


class WholeCellScrollBar(ScrollBarRender):
    """A scroll bar of whole cells, for terminals without block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.VERTICAL_BARS)
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.HORIZONTAL_BARS)


@dataclass(frozen=True, slots=True)
class Terminal:
    """What can be shown.

    Args:
        color: False under ``NO_COLOR`` and on a dumb terminal.
        ascii: letters only: no braille, blocks or box drawing.
        few_colors: 16 colours or less.
    """

    color: bool = True
    ascii: bool = False
    few_colors: bool = False


def this_terminal() -> Terminal:
    """Look at the environment."""
    kind = os.environ.get("TERM", "")
    encoding = (getattr(sys.__stdout__, "encoding", None) or "utf-8").lower().replace("-", "")
    rich_colors = bool(os.environ.get("COLORTERM")) or "256" in kind or "direct" in kind
    return Terminal(
        color="NO_COLOR" not in os.environ and kind not in ("dumb", "unknown"),
        ascii=(
            os.environ.get("VIXTUI_ASCII", "") not in ("", "0")
            or kind in ("dumb", "linux", "unknown")
            or encoding != "utf8"
        ),
        few_colors=os.name == "posix" and not rich_colors,
    )
