"""``vixtui presets``: the models that ship with the program."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import IMAGE_SIZE, Json, PresetName

app = typer.Typer()
_KINDS = ("token_mixer", "embedding", "positions")


@app.callback(invoke_without_command=True, epilog="Example: vixtui presets list")
def presets(context: typer.Context) -> None:
    """Look at the models that can be trained. Alone: list them."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list", epilog="Example: vixtui presets list --json")
def list_(json: Json = False) -> None:
    """List all presets with their sizes."""
    from vixtui.presets import all_presets

    found: dict[str, dict[str, Any]] = {}
    for preset in all_presets().values():
        entry = found.setdefault(
            preset.variant,
            {
                "name": preset.variant,
                "title": preset.title,
                "summary": preset.summary,
                **{name: preset.options[name] for name in _KINDS},
                "sizes": [],
            },
        )
        entry["sizes"].append(preset.size)
    if json:
        output.print_json({"presets": list(found.values())})
        return
    output.print_table(
        ["preset", "token mixer", "embedding", "positions", "sizes"],
        [
            [entry["name"], *(entry[name] for name in _KINDS), " ".join(entry["sizes"])]
            for entry in found.values()
        ],
        whole=("preset",),
    )


@app.command(epilog="Example: vixtui presets show hybrid-vin:tiny --image-size 64")
def show(
    preset: PresetName,
    image_size: Annotated[int, IMAGE_SIZE] = 32,
    classes: Annotated[
        int, typer.Option("--classes", help="Number of classes.", min=2, max=10_000)
    ] = 10,
    json: Json = False,
) -> None:
    """Show one preset: its model for colour pictures of a size, and what it needs here."""
    from dataclasses import asdict

    from vixtui.hardware.probe import probe
    from vixtui.planning.budget import resolve_budget
    from vixtui.planning.recommend import candidate
    from vixtui.planning.types import Question, Task
    from vixtui.planning.words import describe_way
    from vixtui.presets import preset as find
    from vixtui.text import format_bytes, format_count, format_seconds

    found = find(preset)
    task = Task(
        image_height=image_size,
        image_width=image_size,
        in_channels=3,
        num_classes=classes,
        images=2000,
    )
    machine = probe("auto")
    question = Question(task=task, budget=resolve_budget(machine))
    needs = candidate(found.name, question, machine)
    if json:
        output.print_json(
            {"name": found.name, "title": found.title, "summary": found.summary, **asdict(needs)}
        )
        return
    output.print_line(f"{found.name}: {found.title}")
    output.print_line(found.summary)
    output.print_facts(
        [(name, str(value)) for name, value in needs.model.to_dict().items()], title="model"
    )
    fits = "fits" if needs.fits else "does not fit"
    output.print_facts(
        [
            ("tokens", f"{needs.model.num_tokens:,}"),
            ("weights", format_count(needs.parameters)),
            (
                "peak memory",
                f"{format_bytes(needs.peak_bytes)} ({fits}): {describe_way(needs)}",
            ),
            ("an epoch", f"{format_seconds(needs.seconds_per_epoch)} for 2,000 pictures"),
        ],
        title="needs",
    )
    narrate.note(f"peak: {needs.peak_basis}; epoch: {needs.time_basis}")
