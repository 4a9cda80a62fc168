"""``vixtui evaluate``: how good a model is, on pictures it has not learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import typer

from vixtui.cli import narrate, output
from vixtui.cli.models import ModelArgument, find_weights, warm_engine
from vixtui.cli.options import Data, Json

Part = Literal["test", "validation", "train", "all"]
_CONFUSIONS = 5


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui evaluate last --data new-pictures/ --split all")(evaluate)


def evaluate(
    model: ModelArgument = None,
    data: Data = None,
    split: Annotated[Part, typer.Option("--split", help="Which part of the pictures.")] = "test",
    json: Json = False,
) -> None:
    """Measure a model on pictures that it has not learned from.

    Top-1 with its 95 % interval, every class, what is confused. Default: the test pictures that
    the model's own run has kept aside.
    """
    from vixtui.cli.summary import evaluation_facts
    from vixtui.errors import UsageError
    from vixtui.text import format_percent

    weights = find_weights(model)
    if data is None and weights.run is None:
        raise UsageError(
            "a weights file alone has no pictures",
            where=weights.path,
            remedy="name some with --data",
        )
    with warm_engine() as engine, narrate.progress_bar("evaluating") as move:
        found = engine.ask(
            "evaluate",
            model=str(weights.path),
            source=_resolve(data),
            run=str(weights.run.path) if weights.run and data is None else None,
            split=split,
            on_progress=lambda message: _progress(message, move),
        )
    if json:
        output.print_json(found)
        return
    output.print_facts(evaluation_facts(found), title=f"{found['model']} on {found['source']}")
    output.print_table(
        ["class", "pictures", "precision", "recall", "F1"],
        [
            [
                entry["class"],
                f"{entry['images']:,}",
                *(format_percent(entry[figure]) for figure in ("precision", "recall", "f1")),
            ]
            for entry in found["per_class"]
        ],
        numeric=("pictures", "precision", "recall", "F1"),
    )
    if confused := most_confused(found["confusion"], found["classes"]):
        output.print_facts(confused, title="most often confused")


def _progress(message: dict[str, Any], move: Callable[[int, int], None]) -> None:
    if "warning" in message:
        narrate.note(f"warning: {message['warning']}")
    else:
        move(message["done"], message["total"])


def most_confused(
    confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the pairs of classes that are mistaken most, with their counts.

    Args:
        confusion: counts; rows are true classes, columns predicted ones.
        classes: names in label order.
    """
    pairs = [
        (count, classes[true], classes[predicted])
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if true != predicted and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    return [
        (f"{true} taken for {predicted}", f"{count}×")
        for count, true, predicted in pairs[:_CONFUSIONS]
    ]


def _resolve(data: str | None) -> Any:
    """Return a source as the engine understands it from any working directory."""
    from pathlib import Path

    if data is None or not Path(data).is_dir():
        return data
    return str(Path(data).absolute())
