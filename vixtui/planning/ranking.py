"""In which order to try what was considered, and in a few words why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vixtui.planning.types import Candidate
from vixtui.presets import preset
from vixtui.text import format_bytes, format_seconds

# With fewer passes over the pictures a model has hardly begun to learn.
_FEWEST_EPOCHS = 3
# Exact softmax attention, fused: what the others have to be better than.
_YARDSTICK = "vit"
# Two accuracies that differ by less are the same.
_SAME_POINTS = 0.05


def ranked(candidates: Iterable[Candidate], seconds: float | None = None) -> list[Candidate]:
    """Return candidates best first, each with its reason.

    What fits comes before what does not, what is fast enough before what is not; then by measured
    accuracy, then by speed. Of what does not fit, the nearest miss comes first.

    Args:
        candidates: in any order.
        seconds: training time, if limited.
    """

    def key(entry: Candidate) -> tuple[bool, float, float, float]:
        if not entry.fits:
            return True, entry.peak_bytes, 0.0, 0.0
        accuracy = -1.0 if entry.accuracy is None else entry.accuracy
        slow = _too_slow(entry, seconds)
        return False, slow, -accuracy, entry.seconds_per_epoch

    ordered = sorted(candidates, key=key)
    in_time = [entry for entry in ordered if entry.fits and not _too_slow(entry, seconds)]
    return [replace(entry, reason=_reason(entry, in_time, seconds)) for entry in ordered]


def shortlist(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return the best `most` that fit, then the best plain ViT if it is not among them.

    Args:
        candidates: best first.
        most: how many to show; the ViT comes on top, also when it does not fit.
    """
    listed = [entry for entry in candidates if entry.fits][:most]
    vits = (entry for entry in candidates if preset(entry.preset).variant == _YARDSTICK)
    best = next(vits, None)
    return listed if best is None or best in listed else [*listed, best]


def _too_slow(entry: Candidate, seconds: float | None) -> bool:
    return seconds is not None and seconds < _FEWEST_EPOCHS * entry.seconds_per_epoch


def _reason(entry: Candidate, rivals: Sequence[Candidate], seconds: float | None) -> str:
    """Return why a candidate ranks where it does.

    Args:
        entry: one of the candidates.
        rivals: those that fit in memory and time, best first.
        seconds: training time, if limited.
    """
    if not entry.fits:
        return entry.remembered or f"needs {format_bytes(entry.peak_bytes)}"
    if seconds is not None and _too_slow(entry, seconds):
        return f"too slow for {format_seconds(seconds)}"
    first = rivals[0]
    speed = first.seconds_per_epoch / entry.seconds_per_epoch
    if entry.accuracy is None:
        return f"accuracy not measured{'' if entry is first else f', {speed:.1f}× speed'}"
    if entry is first or first.accuracy is None:
        return "best measured"
    # Of the figures as they are shown: readers subtract them.
    points = round(100 * first.accuracy, 1) - round(100 * entry.accuracy, 1)
    if points < _SAME_POINTS:
        return f"same accuracy, {f'{speed:.1f}× speed' if speed > 1 else 'slower'}"
    better = next((rival for rival in rivals if _dominates(rival, entry)), None)
    if better is not None:
        return f"−{points:.1f} points, no gain over {better.preset}"
    return f"−{points:.1f} points, {speed:.1f}× speed"


def _dominates(rival: Candidate, entry: Candidate) -> bool:
    """Tell whether there is nothing for `entry`: `rival` is better, as fast and as small."""
    return (
        rival.accuracy is not None
        and entry.accuracy is not None
        and 100 * (rival.accuracy - entry.accuracy) >= _SAME_POINTS
        and rival.seconds_per_epoch <= entry.seconds_per_epoch
        and rival.peak_bytes <= entry.peak_bytes
    )
