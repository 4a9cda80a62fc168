"""How much of a training step its pictures take: read from the cache, augmented, normalised.

    python benchmarks/input_share.py [--only PRESET …] [--threads N]

Measured inside real steps of every preset in its smallest size, 64 pictures of 32 pixels, on all
cores that may be used; the median of some steps. The pictures are in the cache, as they are from
the second epoch on. The target is for the level light, the default. With one thread, processor time
is counted, which other programs hardly change.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from statistics import median

import torch
from step_time import run_as_the_engine
from torch import Tensor

from vixtui.data.sources import DataSource, open_source
from vixtui.data.store import Batch, open_store
from vixtui.data.tensors import Images
from vixtui.engine.inputs import measure
from vixtui.engine.learner import Learner
from vixtui.engine.seeding import epoch_order
from vixtui.hardware.host import usable_cores
from vixtui.planning.recipe import default_recipe
from vixtui.planning.start import data_config
from vixtui.presets import all_presets, preset
from vixtui.runs.config import Augmentation, Plan, RunConfig

SOURCE, SIDE = "shapes:images=1000", 32
LEVELS: tuple[Augmentation, ...] = ("light", "strong")
TARGET = 0.05
WARM_UP, STEPS = 2, 25


class Timed(Learner):
    """Counts the seconds that pictures take on their way to the model."""

    clock = staticmethod(time.perf_counter)
    input_seconds = 0.0

    def examples(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """As in `Learner`."""
        started = self.clock()
        result = super().examples(*arguments)
        self.input_seconds += self.clock() - started
        return result


def lines() -> Iterator[str]:
    """Measure every preset in a process that is started as the engine is; tell, line by line."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield from process.stdout or ()
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")


def measured(only: Sequence[str], threads: int) -> Iterator[str]:
    """Measure every preset, or `only` some, and tell, line by line; 0 `threads` are all cores."""
    torch.set_num_threads(threads or usable_cores())
    if torch.get_num_threads() == 1:
        Timed.clock = staticmethod(time.process_time)
    source = open_source(SOURCE, image_size=SIDE)
    items, labels = zip(*source.split.train, strict=True)
    home = os.environ.get("VIXTUI_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIXTUI_HOME"] = folder
        try:
            images = _cached(source, items)
        finally:
            if home is None:
                del os.environ["VIXTUI_HOME"]
            else:
                os.environ["VIXTUI_HOME"] = home
        preprocessing = measure(images)
        yield (
            f"{'':24} {'step':>8}" + "".join(f" {level:>8}" for level in LEVELS)
            + f" {'target':>8}  met"
        )  # fmt: skip
        most = 0.0
        for name in only or [name for name in all_presets() if name.endswith(":tiny")]:
            steps, shares = [], []
            for level in LEVELS:
                learner = Timed(_config(name, source, level), preprocessing, torch.device("cpu"))
                seconds, share = _measured(learner, images, torch.tensor(labels))
                steps.append(seconds)
                shares.append(share)
            most = max(most, shares[0])
            yield (
                f"{name:24} {1000 * steps[0]:6.0f}ms"
                + "".join(f" {100 * share:7.1f}%" for share in shares)
                + f" {f'≤ {TARGET:.0%}':>8}  {'yes' if shares[0] <= TARGET else 'NO'}"
            )
        yield f"{'most':24} {'':8} {100 * most:7.1f}%"


def _cached(source: DataSource, items: Sequence[int]) -> Images:
    """Return pictures mapped from a cache made now."""
    data, told = data_config(source), []
    store = open_store(data, items, threads=usable_cores(), use_cache=True, warn=told.append)
    if told:
        raise SystemExit(told[0])
    return store.images(items)


def _measured(learner: Timed, images: Images, labels: Tensor) -> tuple[float, float]:
    """Return the seconds of a step and the share of its pictures."""
    batch = learner.micro_batch
    order = torch.cat([epoch_order(0, epoch, len(labels)) for epoch in range(2)])
    seconds, shares = [], []
    for step in range(WARM_UP + STEPS):
        learner.input_seconds = 0.0
        started = learner.clock()
        chosen = order[step * batch : (step + 1) * batch]
        learner.combine(learner.accumulate(Batch(images, chosen), labels[chosen], step=step))
        learner.apply(step=step, lr=1e-3)
        if step >= WARM_UP:
            seconds.append(learner.clock() - started)
            shares.append(learner.input_seconds / seconds[-1])
    return median(seconds), median(shares)


def _config(name: str, source: DataSource, level: Augmentation) -> RunConfig:
    recipe = default_recipe(source, epochs=1, augmentation=level)
    model = preset(name).model_config(
        image_height=SIDE, image_width=SIDE, in_channels=3, num_classes=len(source.classes)
    )
    plan = Plan(
        device="cpu", micro_batch=recipe.batch_size, budget_bytes=0, predicted_peak_bytes=0,
        basis="",
    )  # fmt: skip
    return RunConfig(
        id="", created="", vixtui="", preset=name, seed=0, model=model,
        data=data_config(source), recipe=recipe, plan=plan,
    )  # fmt: skip


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    run_as_the_engine()
    for line in measured(options.only, options.threads):
        print(line, flush=True)


if __name__ == "__main__":
    main()
