"""The only writer to stdout: tables, facts, lines and JSON.

Everything is made safe here, at the exit, whatever its origin, and reaches Rich only inside
`Text`, never as markup.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, TextIO

from vixtui.errors import DiskError
from vixtui.text import safe

JSON_SCHEMA_VERSION = 1
_MIN_TEXT_WIDTH = 8
# Some spreadsheets take the wide forms for the same signs.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def can_draw(stream: TextIO) -> bool:
    """Tell whether `stream` is a terminal that understands colours and cursor movements."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def print_raw(content: str) -> None:
    """Print content that holds no outside text but in escapes: JSON, CSV, lines made safe.

    Raises:
        SystemExit: quietly, when the reader of stdout, such as ``head``, has seen enough.
        DiskError: when the disk that stdout goes to is full or fails.
    """
    try:
        sys.stdout.write(content)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(0) from None
        what = f"cannot write: {error.strerror}"
        raise DiskError(what, where="standard output", remedy="free some space") from error


def print_line(text: str = "") -> None:
    """Print one line."""
    print_raw(safe(text, max_length=2000) + "\n")


def print_json(content: Mapping[str, Any], *, in_a_line: bool = False) -> None:
    """Print one JSON object with its ``schema_version``; non-finite numbers become null.

    Pure ASCII, so that no name can carry a control character to the terminal.
    """
    record = {"schema_version": JSON_SCHEMA_VERSION, **content}
    print_raw(
        json.dumps(_jsonable(record), indent=None if in_a_line else 2, allow_nan=False) + "\n"
    )


def print_csv(rows: Iterable[Sequence[str]]) -> None:
    """Print rows, the heading first; no spreadsheet takes a cell for a formula."""
    import csv
    import io

    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [_csv_cell(cell) for cell in row] for row in rows
    )
    print_raw(text.getvalue())


def _csv_cell(text: str) -> str:
    shown = safe(text, max_length=10_000)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown


def print_facts(facts: Sequence[tuple[str, str]], *, title: str = "") -> None:
    """Print labelled facts, one a line, aligned."""
    if title:
        print_line(title)
    width = max((len(label) for label, _ in facts), default=0)
    for label, value in facts:
        print_line(f"  {label.ljust(width)}  {value}".rstrip())


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric: Collection[str] = (),
    whole: Collection[str] = (),
    optional: Collection[str] = (),
) -> None:
    """Print a table: ruled and fitted to the width of a terminal, else aligned and whole.

    Args:
        columns: headings.
        rows: cells; as many as there are columns.
        numeric: headings of the columns that are aligned to the right and never broken.
        whole: headings of other columns that are never broken: names that one copies.
        optional: headings of columns that a terminal too narrow for all does without.
    """
    columns = [safe(heading) for heading in columns]
    cells = [[safe(cell) for cell in row] for row in rows]
    room, gaps = shutil.get_terminal_size().columns, 2 * (len(columns) - 1)
    if can_draw(sys.stdout) and sum(_widths(columns, cells)) + gaps > room:
        kept = [heading not in optional for heading in columns]
        columns = list(compress(columns, kept))
        cells = [list(compress(row, kept)) for row in cells]
    unbroken = {*numeric, *whole}
    narrowest = [
        width if heading in unbroken else min(width, _MIN_TEXT_WIDTH)
        for heading, width in zip(columns, _widths(columns, cells), strict=True)
    ]
    if can_draw(sys.stdout) and sum(narrowest) + 2 * (len(columns) - 1) <= room:
        _print_rich_table(columns, cells, numeric, unbroken)
    else:
        _print_plain_table(columns, cells, numeric)


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([len(heading), *(len(row[index]) for row in rows)])
        for index, heading in enumerate(columns)
    ]


def _print_plain_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Collection[str]
) -> None:
    widths = _widths(columns, rows)
    lines = []
    for row in [columns, *rows]:
        aligned = (
            cell.rjust(width) if heading in numeric else cell.ljust(width)
            for cell, width, heading in zip(row, widths, columns, strict=True)
        )
        lines.append("  ".join(aligned).rstrip() + "\n")
    print_raw("".join(lines))


def _print_rich_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Collection[str],
    unbroken: Collection[str],
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for heading in columns:
        table.add_column(
            Text(heading),
            justify="right" if heading in numeric else "left",
            no_wrap=heading in unbroken,
        )
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(table)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
