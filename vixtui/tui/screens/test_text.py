"""The words of tab 3, from an evaluation."""

from __future__ import annotations

from textual.content import Content

from vixtui.runs.evaluation import Evaluation
from vixtui.text import format_percent
from vixtui.tui.widgets.bars import bar
from vixtui.tui.widgets.fit import fit

HELP = """\
Accuracy is the share of test pictures named right; the model has seen none of them. The range
behind it holds the true accuracy with 95 % certainty (Wilson); more pictures make it narrower.

Top 5 counts a picture as right when its class is among the five best guesses.

Calibration error is how far confidence and accuracy are apart on average: 0 is perfect; a model
that says 90 % should be right in 90 of 100 cases.

In the matrix each row is a true class: where its pictures went, in per cent or counted. Right
answers lie on the diagonal. The shade repeats the number. Recall, the bar of a class, is the
share of its pictures that were found; precision the share of right ones among all so named.
"""


def _top(result: Evaluation) -> list[tuple[str, str]]:
    """Return how often the class was among the best guesses, unless these are all there are."""
    if result.top_k >= len(result.classes):
        return []
    return [(f"Top {result.top_k}", format_percent(result.top5))]


def numbers(result: Evaluation) -> Content:
    """Return the main figures, a line each."""
    low, high = result.top1_interval
    rows = [
        ("Accuracy", format_percent(result.top1)),
        ("  range", f"{100 * low:.1f} to {format_percent(high)}"),
        *_top(result),
        ("Loss", f"{result.loss:.3f}"),
        ("Calibration", f"{100 * result.ece:.1f} % error"),
        ("Speed", f"{result.images_per_second:,.0f} pictures/s"),
    ]
    return Content("\n").join(
        Content.assemble((f"{name:<12}", "bold"), value) for name, value in rows
    )


def classes(result: Evaluation, width: int, *, ascii: bool) -> Content:
    """Return a bar a class, worst first.

    Args:
        width: cells across.
    """
    longest = max((len(score.name) for score in result.per_class), default=0)
    name_width = min(longest, max(6, width // 3))
    room = max(4, width - name_width - 10)
    lines = [
        Content.assemble(
            f"{fit(score.name, name_width)} ",
            (bar(score.recall or 0.0, room, ascii=ascii, empty="░"), "$primary"),
            f" {format_percent(score.recall):>7}",
        )
        for score in result.worst_first()
    ]
    return Content("\n").join(lines)


def confused(result: Evaluation, most: int) -> Content:
    """Return the pairs mixed up most."""
    pairs = result.most_confused(most)
    if not pairs:
        return Content("nothing: every test picture was named right")
    return Content("\n").join(
        Content(
            f"{pair.images:>4} × {pair.true} taken for {pair.predicted}"
            f" ({100 * pair.fraction:.0f} % of {pair.true})"
        )
        for pair in pairs
    )


def calibration(result: Evaluation, width: int, *, ascii: bool) -> Content:
    """Return how right the model is at each level of confidence."""
    room = max(4, width - 24)
    lines = [Content.styled(f"  sure   right {'pictures':>{room + 9}}", "dim")]
    for entry in result.calibration:
        if entry.images:
            filled = bar(entry.accuracy, room, ascii=ascii, empty="░")
            lines.append(
                Content.assemble(
                    f"{100 * entry.confidence:4.0f} % {100 * entry.accuracy:5.0f} % ",
                    (filled, "$primary"),
                    f"{entry.images:>8,}",
                )
            )
    return Content("\n").join(lines)
