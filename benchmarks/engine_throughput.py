"""Images a second from the files to the weights, beside the official models in their own loop.

    python benchmarks/engine_throughput.py DIR [NAME …]

DIR holds CIFAR-10 as train/CLASS/*.jpg. Both sides train twice through the same pictures in batches
of 16: decoding, steps and all that each does between them, but not the test or validation, nor the
start of a process. Ours is `vixtui train` with the `paper` preset and the default recipe,
augmentation, averaged weights and saved states included: once with the precision, threads and
recomputing that the engine chooses, once in single precision on all cores. Theirs is torchvision's
ImageFolder, a DataLoader and AdamW, as in the official scripts, without any of these, in single
precision on all cores. The share of their step that is products of matrices tells how much faster
a program could be that does all else in no time and as many products. As machines are at times
slower for a while, the sides take turns, and what counts is the median of the ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from vixtui.hardware.host import usable_cores
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import (
    DataChecked,
    EpochDone,
    Event,
    ModelBuilt,
    StepDone,
    read_events,
)

NAMES = ("vin", "vip", "vil", "fnet")
A_CLASS, BATCH, EPOCHS = 8, 16, 2
TURNS = 3
TARGET = 1.5
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")


def link_pictures(source: Path, target: Path) -> None:
    """Link a few training pictures, and as few as possible to validate and test, of each class."""
    counts = {"train": A_CLASS, "val": 1, "test": 1}
    for folder in sorted((source / "train").iterdir()):
        pictures = iter(sorted(folder.iterdir()))
        for part, count in counts.items():
            place = target / part / folder.name
            place.mkdir(parents=True)
            for _ in range(count):
                picture = next(pictures)
                os.symlink(picture.resolve(), place / picture.name)


def our_speed(data: Path, home: Path, name: str, *options: str) -> tuple[float, str]:
    """Return images a second of a run, decoding included, and how it was computed."""
    run_id = f"run-{len(list(home.glob('runs/*')))}"
    command = [sys.executable, "-m", "vixtui", "train", str(data), "--preset", f"{name}:paper"]
    command += ["--epochs", str(EPOCHS), "--batch-size", str(BATCH), "--name", run_id, *options]
    subprocess.run(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = RunDirectory(home / "runs" / run_id)
    events = list(read_events(run.events_path))
    built = next(event for event in events if isinstance(event, ModelBuilt))
    return _speed(events), f"{built.precision}, {built.threads} threads"


def _speed(events: list[Event]) -> float:
    seconds, begun, before, updates = 0.0, None, 0.0, 0
    for event in events:
        if isinstance(event, DataChecked):
            seconds += event.seconds
        if isinstance(event, StepDone):
            begun = before if begun is None else begun
        if isinstance(event, EpochDone):
            assert begun is not None
            seconds, begun, updates = seconds + event.t - begun, None, event.step
        before = event.t
    return BATCH * updates / seconds


def their_speed(data: Path, name: str) -> tuple[float, float]:
    """Return images a second of the official loop, and the share of a step that is products."""
    import torch
    from official import build_official
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    scale = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    loader = DataLoader(
        ImageFolder(str(data / "train"), scale), batch_size=BATCH, shuffle=True, drop_last=True
    )
    torch.set_num_threads(usable_cores())
    model = build_official(name, 32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()

    def learn(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

    learn(torch.randn(BATCH, 3, 32, 32), torch.zeros(BATCH, dtype=torch.int64))  # warms up
    started = time.perf_counter()
    for _ in range(EPOCHS):
        for images, labels in loader:
            learn(images, labels)
    speed = EPOCHS * len(loader) * BATCH / (time.perf_counter() - started)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        learn(images, labels)
    kinds = {entry.key: entry.self_cpu_time_total for entry in profiled.key_averages()}
    return speed, sum(kinds.get(name, 0) for name in PRODUCTS) / sum(kinds.values())


def their_speed_apart(data: Path, name: str) -> tuple[float, float]:
    """Return the same as `their_speed`, measured in a process of its own."""
    # As users start it: its threads wait as libgomp prefers, fastest on a quiet machine.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, __file__, str(data), name, "--theirs"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:  # else it is what the profiler says of GPUs
        print(run.stderr, file=sys.stderr)
    run.check_returncode()
    speed, products = map(float, run.stdout.split()[-2:])
    return speed, products


def lines(source: Path, names: tuple[str, ...] = NAMES) -> Iterator[str]:
    """Tell the comparison, line by line."""
    all_cores = f"fp32, {usable_cores()} threads"
    given = ("--precision", "fp32", "--threads", str(usable_cores()))
    with tempfile.TemporaryDirectory() as folder:
        data, home = Path(folder) / "pictures", Path(folder) / "home"
        link_pictures(source, data)
        for name in names:
            theirs: list[tuple[float, float]] = []
            ours: dict[str, list[tuple[float, float]]] = defaultdict(list)
            for _ in range(TURNS):
                theirs.append(their_speed_apart(data, name))
                speed, chosen = our_speed(data, home, name)
                ours[f"{chosen}, chosen"].append((speed, theirs[-1][0]))
                if chosen != all_cores:
                    speed, way = our_speed(data, home, name, *given)
                    ours[f"{way}, given"].append((speed, theirs[-1][0]))
            speed, products = map(median, zip(*theirs, strict=True))
            yield (
                f"{name:5} official {speed:6.1f} images/s, {products:.0%} of it in products: "
                f"without all else {1 / products:.2f} ×"
            )
            for way, pairs in ours.items():
                speed = median(our for our, _ in pairs)
                ratios = [our / their for our, their in pairs]
                met = "yes" if median(ratios) >= TARGET else "NO"
                yield (
                    f"      vixtui   {speed:6.1f} images/s {f'({way})':27} {median(ratios):5.2f} ×"
                    f" ({min(ratios):.2f} to {max(ratios):.2f})  target ≥ {TARGET} ×: {met}"
                )


def main() -> None:
    """Print the comparison, or one speed of theirs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", default="all", choices=(*NAMES, "all"))
    parser.add_argument("--theirs", action="store_true", help="only the official loop, of one name")
    options = parser.parse_args()
    if options.theirs:
        print(*their_speed(options.data, options.names[0]))
        return
    names = NAMES if options.names == "all" else tuple(options.names)
    for line in lines(options.data, names):
        print(line, flush=True)


if __name__ == "__main__":
    main()
