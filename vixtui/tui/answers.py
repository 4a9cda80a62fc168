"""What the engine says about a picture, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

from textual.content import Content

from vixtui.text import safe
from vixtui.tui.widgets.bars import bar
from vixtui.tui.widgets.fit import fit

HELP = """\
The bars are the model's five best guesses; together all classes make 100 %. A model knows only
the classes it was trained on: a picture of anything else still gets one of them.

The first picture waits for the engine to start; after that it stays ready for a minute.

Tab completes a path; a picture dragged onto the window is pasted as its path.
"""
_SURE, _NOT_SURE = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction; texts are safe to show.

    Args:
        top: (class, probability), most likely first.
        seconds: what the model needed for the picture.
        input_size: width and height in pixels of what the model sees.
        num_classes: how many classes the model knows.
        error: why there is none.
    """

    path: Path
    top: tuple[tuple[str, float], ...]
    seconds: float
    input_size: tuple[int, int]
    num_classes: int
    error: str = ""

    @classmethod
    def from_dict(cls, path: Path, reply: Mapping[str, Any]) -> Answer:
        """Check and convert the engine's reply about one picture.

        Raises:
            ValueError: when something is missing or of the wrong kind.
        """
        try:
            found, model = reply["predictions"][0], reply["model"]
            return cls(
                path=path,
                top=tuple(
                    (safe(str(entry["class"]), 60), float(entry["probability"]))
                    for entry in found["top"]
                ),
                seconds=float(reply["seconds_per_image"]),
                input_size=(int(model["image_width"]), int(model["image_height"])),
                num_classes=len(model["classes"]),
                error=safe(str(found["error"])) if found.get("error") else "",
            )
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"the engine's answer is incomplete: {error}") from error


def answer_text(
    answer: Answer | None, notice: str, width: int, *, has_model: bool, ascii: bool
) -> Content:
    """Return the guesses as bars, or what to do to get some."""
    if not has_model:
        notice = "Nothing is trained yet: 1 picks a model."
    elif not notice and answer is None:
        notice = "Choose a picture in the tree and press Enter, or o to type its path."
    if notice or answer is None:
        return Content("\n".join(wrap(notice, max(10, width))))
    name_width = min(max(len(name) for name, _ in answer.top), max(6, width // 3))
    room = max(4, width - name_width - 10)
    lines = [
        Content.assemble(
            f"{fit(name, name_width)} ",
            (bar(probability, room, ascii=ascii, empty="░"), "$primary"),
            (f" {100 * probability:5.1f} %", "bold" if rank == 0 else ""),
        )
        for rank, (name, probability) in enumerate(answer.top)
    ]
    took = (
        f"{1000 * answer.seconds:.0f} ms"
        if answer.seconds >= 0.01
        else f"{1000 * answer.seconds:.1f} ms"
    )
    lines += [
        Content(""),
        Content(f"The model is {_sureness(answer.top[0][1])}."),
        Content(f"This took {took}."),
        Content.styled(f"It knows only its {answer.num_classes} classes.", "dim"),
    ]
    return Content("\n").join(lines)


def history_text(history: Sequence[Answer]) -> Content:
    """Return earlier answers, a line each."""
    if not history:
        return Content.styled("no pictures yet", "dim")
    return Content("\n").join(
        Content.assemble(
            (f"{fit(answer.top[0][0], 12)} ", "bold"),
            f"{100 * answer.top[0][1]:3.0f} %  {safe(answer.path.name, 60)}",
        )
        for answer in history
    )


def _sureness(probability: float) -> str:
    if probability >= _SURE:
        return "sure"
    return "fairly sure" if probability >= _NOT_SURE else "not sure"
