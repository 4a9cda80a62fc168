"""What the shell offers on Tab: run ids, presets, built-in data."""

from __future__ import annotations

from vixtui.text import safe


def complete_run(incomplete: str) -> list[str]:
    """Return the ids of runs that begin like `incomplete`, newest first, then ``last``."""
    from vixtui.runs.directory import list_runs

    ids = [run.id for run in reversed(list_runs()) if safe(run.id) == run.id]
    return [name for name in [*ids, "last"] if name.startswith(incomplete)]


def complete_preset(incomplete: str) -> list[str]:
    """Return the presets that begin like `incomplete`: variants first, with sizes after a colon."""
    from vixtui.presets import all_presets, variants

    names = all_presets() if ":" in incomplete else variants()
    return [name for name in names if name.startswith(incomplete)]


def complete_data(incomplete: str) -> list[str]:
    """Return the built-in data sets that begin like `incomplete`; folders are the shell's."""
    return [name for name in ("digits", "shapes") if name.startswith(incomplete)]


def complete_device(incomplete: str) -> list[str]:
    """Return the devices that begin like `incomplete`."""
    names = ("auto", "cpu", "cuda:0", "mps", "rocm:0", "xpu:0")
    return [name for name in names if name.startswith(incomplete)]
