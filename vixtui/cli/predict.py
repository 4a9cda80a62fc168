"""``vixtui predict``: what is on these pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vixtui.cli import narrate, output
from vixtui.cli.models import ModelOption, find_weights, warm_engine
from vixtui.cli.options import Csv, Json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui predict holiday/*.jpg --top 3")(predict)


def predict(
    images: Annotated[
        list[str], typer.Argument(help="Pictures, folders, patterns.", metavar="IMAGE...")
    ],
    model: ModelOption = None,
    top: Annotated[int, typer.Option("--top", help="Classes a picture.", min=1, max=100)] = 3,
    json: Json = False,
    csv: Csv = False,
) -> None:
    """Name what is on pictures, with probabilities.

    Pictures that cannot be read are named on stderr, the others are still predicted, and the
    exit code is 3.
    """
    from vixtui.errors import DataError, UsageError
    from vixtui.text import safe

    if json and csv:
        raise UsageError("one form of output", where="--json, --csv", remedy="give one of them")
    paths = find_pictures(images)
    weights = find_weights(model)
    with warm_engine() as engine, narrate.progress_bar("predicting") as move:
        answer = engine.ask(
            "predict",
            model=str(weights.path),
            paths=[str(path) for path in paths],
            top=top,
            on_progress=lambda message: move(message["done"], message["total"]),
        )
    predictions = answer["predictions"]
    if json:
        output.print_json({"weights": str(weights.path), **answer})
    elif csv:
        _print_csv(predictions)
    else:
        _print_predictions(predictions)
    unread = [entry for entry in predictions if entry["error"]]
    for entry in unread:
        named = safe(entry["path"]) in entry["error"]
        narrate.note(f"warning: {'' if named else entry['path'] + ': '}{entry['error']}")
    if unread:
        raise DataError(
            f"{len(unread)} of {len(predictions)} pictures could not be read",
            where=unread[0]["path"],
            remedy="they are named above",
        )


def find_pictures(names: Sequence[str]) -> list[Path]:
    """Return the picture files that paths, folders and patterns stand for, each once, in order.

    Folders are searched through, hidden files left out.

    Raises:
        UsageError: when a name stands for nothing.
    """
    from vixtui.data.scan import Walk
    from vixtui.errors import UsageError

    found: dict[Path, None] = {}
    for name in names:
        if not name:
            raise UsageError("an empty name", where="IMAGE", remedy="name pictures or folders")
        path = Path(name)
        is_folder = os.path.isdir(path)
        if is_folder:
            matches = [path / picture.path for picture in Walk(str(path)).pictures(".")]
        elif os.path.exists(path):
            matches = [path]
        else:
            matches = _expand(name)
        if not matches:
            what = "no pictures in this folder" if is_folder else "no such picture"
            raise UsageError(what, where=name, remedy="check the path")
        found.update(dict.fromkeys(match.absolute() for match in matches))
    return list(found)


def _expand(pattern: str) -> list[Path]:
    import glob

    matches = (Path(match) for match in sorted(glob.glob(pattern, recursive=True)))
    return [match for match in matches if os.path.isfile(match)]


def _print_predictions(predictions: Sequence[dict[str, Any]]) -> None:
    from vixtui.text import format_percent

    rows = []
    for entry in predictions:
        if entry["error"]:
            continue
        first, *others = entry["top"]
        then = ", ".join(
            f"{other['class']} {format_percent(other['probability'])}" for other in others
        )
        path = _relative(entry["path"])
        rows.append([path, first["class"], format_percent(first["probability"]), then])
    if rows:
        output.print_table(["picture", "prediction", "sure", "or"], rows, numeric=("sure",))


def _print_csv(predictions: Sequence[dict[str, Any]]) -> None:
    ranks = max((len(entry["top"]) for entry in predictions), default=0)
    heading = ["path", "error"]
    for rank in range(1, ranks + 1):
        heading += [f"class_{rank}", f"probability_{rank}"]
    rows = [heading]
    for entry in predictions:
        cells = [entry["path"], entry["error"] or ""]
        for guess in entry["top"]:
            cells += [guess["class"], f"{guess['probability']:.6f}"]
        rows.append(cells + [""] * (len(heading) - len(cells)))
    output.print_csv(rows)


def _relative(path: str) -> str:
    """Return a path as seen from the working directory, where that is shorter."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
