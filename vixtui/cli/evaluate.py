"""``vixtui evaluate``: how good a model is, on pictures it has not learned from."""

from __future__ import annotations

from collections.abc import Callable
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
    split: Annotated[
        Part | None,
        typer.Option(
            "--split", help="Which part. Default: test if there is one, else all.", metavar="PART"
        ),
    ] = None,
    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Keep decoded pictures on disk. Default: as the model's run did.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure a model on pictures that it has not learned from.

    Top-1 with its 95 % interval, every class, what is confused. Default: the test pictures that
    the model's own run has kept aside.
    """
    from vixtui.cli.summary import evaluation_facts
    from vixtui.errors import UsageError
    from vixtui.runs.evaluation import Evaluation
    from vixtui.text import format_percent

    weights = find_weights(model)
    if data is None and weights.run is None:
        raise UsageError(
            "a weights file alone has no pictures",
            where=weights.path,
            remedy="name some with --data",
        )
    with warm_engine() as engine, narrate.progress_bar("evaluating") as move:
        answer = engine.ask(
            "evaluate",
            model=str(weights.path),
            source=data,
            run=str(weights.run.path) if weights.run else None,
            split=split,
            cache=cache,
            on_progress=lambda message: _progress(message, move),
        )
    found = Evaluation.from_dict(answer)
    if json:
        output.print_json(answer)
        return
    output.print_facts(evaluation_facts(found), title=f"{found.model} on {found.source}")
    output.print_table(
        ["class", "pictures", "precision", "recall", "F1"],
        [
            [
                score.name,
                f"{score.images:,}",
                *(format_percent(figure) for figure in (score.precision, score.recall, score.f1)),
            ]
            for score in found.per_class
        ],
        numeric=("pictures", "precision", "recall", "F1"),
    )
    if confused := found.most_confused(_CONFUSIONS):
        output.print_facts(
            [(f"{pair.true} taken for {pair.predicted}", f"{pair.images}×") for pair in confused],
            title="most often confused",
        )


def _progress(message: dict[str, Any], move: Callable[[int, int], None]) -> None:
    if "warning" in message:
        narrate.note(f"warning: {message['warning']}")
    else:
        move(message["done"], message["total"])
