"""``vixtui check``: what is wrong with a folder of pictures, before anything is learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import Csv, ImageSize, Json, Seed

if TYPE_CHECKING:
    from vixtui.data.check import Report
    from vixtui.data.findings import Finding
    from vixtui.data.sources import DataSource

_NAMED = 10


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui check pictures/ --csv > findings.csv")(check)


def check(
    data: Annotated[
        str, typer.Argument(help="A folder of pictures (FOLDER/CLASS/*).", metavar="DIR")
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 3 when there is any problem.")
    ] = False,
    image_size: ImageSize = None,
    seed: Seed = 0,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Find unusable, doubled and odd pictures before training.

    Every picture is decoded, nothing is written. Problems, at which --strict stops: files that
    cannot be used or lie outside class folders, the same picture in two classes or in train and
    test, empty or missing classes. Remarks are the rest; --csv and --json name every file.
    """
    from vixtui.data.sources import open_source
    from vixtui.errors import DataError, UsageError

    if json and csv:
        raise UsageError("one form of output", where="--json, --csv", remedy="give one of them")
    source = open_source(data, seed=seed, image_size=image_size)
    report = look_through(source)
    if json:
        output.print_json(_record(report))
    elif csv:
        output.print_csv(
            [
                ("finding", "problem", "path", "what", "same_as"),
                *(
                    (
                        found.kind,
                        str(int(found.is_problem)),
                        found.path,
                        found.reason,
                        found.same_as,
                    )
                    for found in report.findings
                ),
            ]
        )
        for line in _sums(report):
            narrate.note(line)
    else:
        _print_report(report, source)
    if sum(count.train > 0 for count in report.classes) < 2:
        raise DataError(
            "fewer than two classes with usable pictures to train on",
            where=report.source,
            remedy="replace the unusable files",
        )
    if strict:
        refuse_problems(report)


def look_through(source: DataSource) -> Report:
    """Check every picture of a source, with a bar on a terminal.

    Raises:
        UsageError: for a built-in set.
    """
    from vixtui.data.check import check_source
    from vixtui.hardware.host import usable_cores

    with narrate.progress_bar("checking") as move:
        return check_source(source, threads=usable_cores(), on_progress=move)


def refuse_problems(report: Report) -> None:
    """Raise the error with which ``--strict`` stops, if there is anything to stop at."""
    from vixtui.errors import DataError
    from vixtui.text import counted

    if report.problems:
        raise DataError(
            f"{counted(len(report.problems), 'problem')}: {_counts(report.problems)}",
            where=report.source,
            remedy="'vixtui check' names them; without --strict the good files are used",
        )


def _print_report(report: Report, source: DataSource) -> None:
    from vixtui.data.findings import REMEDIES, counts

    train = [count.train for count in report.classes]
    output.print_facts(
        [
            ("pictures", f"{report.pictures:,}, {report.usable:,} of them usable"),
            ("classes", f"{len(train):,}, {_span(train)} to train on"),
            *(
                (part, f"{sum(getattr(count, part) for count in report.classes):,} usable")
                for part in ("train", "validation", "test")
            ),
            ("seen at", f"{source.image_width}×{source.image_height} pixels"),
        ],
        title=report.source,
    )
    if not report.findings:
        output.print_line("nothing to complain about")
        return
    output.print_table(("finding", "file", "what"), _rows(report.findings), whole=("finding",))
    for line in _sums(report):
        output.print_line(line)
    for kind in counts(report.findings):
        if kind in REMEDIES:
            output.print_line(f"{kind}: {REMEDIES[kind]}")


def _sums(report: Report) -> list[str]:
    """Return how many problems there are, and how many remarks, of each kind."""
    from vixtui.text import counted

    remarks = [found for found in report.findings if not found.is_problem]
    return [
        f"{counted(len(found), noun)}: {_counts(found)}" if found else counted(0, noun)
        for noun, found in (("problem", report.problems), ("remark", remarks))
    ]


def _rows(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """Return the rows of the table: all files that cannot be used, a few of every other kind."""
    from vixtui.data.findings import Kind, counts

    rows = []
    for kind, number in counts(findings).items():
        of_kind = [found for found in findings if found.kind is kind]
        shown = number if kind in (Kind.UNUSABLE, Kind.FORMAT) else _NAMED
        rows += [(str(kind), found.path, found.reason) for found in of_kind[:shown]]
        if number > shown:
            rows.append((str(kind), f"… and {number - shown:,} more", "--csv names all"))
    return rows


def _span(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"each with {least:,}" if least == most else f"with {least:,} to {most:,}"


def _counts(findings: Sequence[Finding]) -> str:
    from vixtui.data.findings import counts

    return ", ".join(f"{number:,} {kind}" for kind, number in counts(findings).items())


def _record(report: Report) -> dict[str, object]:
    from dataclasses import asdict

    from vixtui.data.findings import counts

    return {
        "source": report.source,
        "pictures": report.pictures,
        "usable": report.usable,
        "problems": len(report.problems),
        "classes": [asdict(count) for count in report.classes],
        "counts": {str(kind): number for kind, number in counts(report.findings).items()},
        "findings": [asdict(found) | {"problem": found.is_problem} for found in report.findings],
    }
