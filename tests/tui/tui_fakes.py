"""A machine, pictures and plans made up for the screens' tests."""

from __future__ import annotations

import itertools
import json
import math

import tui_engine

from vixtui import __version__
from vixtui.data.sources import DataSource
from vixtui.data.split import Split
from vixtui.hardware.machine import Figure, Machine
from vixtui.planning.types import Budget, Candidate, Task
from vixtui.presets import preset
from vixtui.runs import events as e
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.directory import RunDirectory, create_run, new_run_id

DIGITS = tuple("0123456789")


def machine() -> Machine:
    return Machine(
        cpu="Test CPU 3000",
        cores=2,
        ram_total=Figure(16_000_000_000, "psutil"),
        ram_free=Figure(9_000_000_000, "psutil"),
        disk_free=Figure(31_000_000_000, "psutil"),
        gpus=(),
        notes=("no NVIDIA driver",),
    )


def source(name: str = "digits", classes: tuple[str, ...] = DIGITS) -> DataSource:
    labelled = tuple((n, n % len(classes)) for n in range(500))
    return DataSource(
        source=name,
        classes=classes,
        image_height=8,
        image_width=8,
        in_channels=1,
        fingerprint="f",
        horizontal_flip=False,
        split=Split(labelled[:400], labelled[400:450], labelled[450:]),
    )


def candidate(
    name: str, *, peak: int, reason: str, accuracy: float | None, fits: bool
) -> Candidate:
    chosen = preset(name)
    model = chosen.model_config(image_height=8, image_width=8, in_channels=1, num_classes=10)
    return Candidate(
        preset=chosen.name,
        title=chosen.title,
        model=model,
        parameters=430_000,
        batch_size=64,
        micro_batch=64 if fits else 1,
        peak_bytes=peak,
        uncorrected_bytes=peak,
        peak_basis="traced step",
        seconds_per_epoch=0.9,
        time_basis="estimated from operations",
        accuracy=accuracy,
        accuracy_basis="digits test, 5 seeds",
        fits=fits,
        reason=reason,
    )


def plan(wish, data: DataSource, machine: Machine):  # type: ignore[no-untyped-def]
    from vixtui.tui.choice import Outlook
    from vixtui.units import parse_bytes

    whole = machine.ram_total.bytes
    allowed = parse_bytes(wish.budget, whole=whole) if wish.budget else 8_000_000_000
    entries = [
        candidate(name, peak=peak, reason=reason, accuracy=accuracy, fits=peak <= allowed)
        for name, peak, reason, accuracy in (
            ("hybrid-vin-rope:tiny", 420_000_000, "most accurate in the time", 0.987),
            ("hybrid-vit:tiny", 450_000_000, "plain attention", 0.981),
            ("vip:small", 900_000_000, "slower on small pictures", 0.96),
            ("hybrid-vit:base", 6_900_000_000, "needs more time", None),
        )
    ]
    return Outlook(
        wish=wish,
        source=data,
        task=Task(image_height=8, image_width=8, in_channels=1, num_classes=10, images=400),
        budget=Budget(device="cpu", bytes=allowed, source="psutil, less 10 %"),
        candidates=tuple(sorted(entries, key=lambda entry: not entry.fits)),
    )


def launch(outlook, chosen: Candidate):  # type: ignore[no-untyped-def]
    from vixtui.runs.process import start_training

    run = make_run(new_run_id(chosen.preset.partition(":")[0]), data=outlook.source)
    return run, start_training(run)


def make_run(
    run_id: str,
    *,
    preset_name: str = "hybrid-vin-rope:tiny",
    data: DataSource | None = None,
    lr: float = 2e-3,
) -> RunDirectory:
    """Write the folder of a run that no engine has touched yet."""
    data = data or source()
    model = preset(preset_name).model_config(
        image_height=8, image_width=8, in_channels=1, num_classes=len(data.classes)
    )
    config = RunConfig(
        id=run_id,
        created="2026-11-22T07:04:00Z",
        vixtui=__version__,
        preset=preset_name,
        seed=0,
        model=model,
        data=DataConfig(
            source=data.source,
            classes=data.classes,
            image_height=8,
            image_width=8,
            in_channels=1,
            fingerprint="f",
            train=400,
            validation=50,
            test=50,
            horizontal_flip=False,
        ),
        recipe=Recipe(seconds=45.0, lr=lr),
        plan=Plan(
            device="cpu",
            micro_batch=64,
            budget_bytes=8_000_000_000,
            predicted_peak_bytes=420_000_000,
            basis="traced step",
        ),
    )
    return create_run(config, data.split.to_json())


def record(run: RunDirectory, *, end: str = "done", epochs: int = 5) -> None:
    """Write the log of a run as its engine would, at fixed times.

    Args:
        end: ``done``, ``stopped``, ``failed`` or ``cut`` (no last word).
    """
    log = e.EventWriter(run.events_path)
    clock = itertools.count(1_700_000_000, 0.5)

    def write(kind: type[e.Event], **values: object) -> None:
        log.write(kind, next(clock), **values)

    write(e.RunStarted, pid=1, device="cpu", resumed_step=0)
    write(e.DataChecked, train=400, validation=50, test=50, unusable=0, num_classes=10, seconds=0.1)
    write(
        e.ModelBuilt, parameters=430_000, threads=2, precision="fp32", images_per_second=1900.0,
        steps_per_epoch=20, epochs=epochs, seconds_budget=None,
    )  # fmt: skip
    total = 20 * epochs
    for step in range(1, total + 1):
        part = step / total
        wiggle = 0.1 * math.sin(step)
        write(
            e.StepDone, step=step, epoch=step / 20, loss=2.3 * math.exp(-3 * part) + wiggle,
            accuracy=0.1 + 0.8 * part + wiggle / 2, lr=1e-3, grad_norm=0.8,
            images_per_second=1900.0, memory_bytes=400_000_000, progress=part,
            eta_seconds=(total - step) / 2,
        )  # fmt: skip
        if step % 20 == 0:
            write(
                e.Validated, epoch=step // 20, step=step, top1=0.9 * part, top5=1.0,
                loss=2.4 * math.exp(-2.5 * part), is_best=True,
            )  # fmt: skip
            write(e.Checkpointed, step=step, bytes=1000)
    if end == "done":
        write(e.TestStarted, split="test", images=50)
        write(e.Tested, split="test", top1=0.9, top5=0.99, loss=0.31, images=50)
        write(
            e.Finished, reason="schedule", best_epoch=epochs, best_top1=0.9, seconds=52.0,
            peak_memory_bytes=412_000_000,
        )  # fmt: skip
        run.model_path.write_bytes(b"weights")
        result = tui_engine.evaluation(list(run.config().data.classes))
        run.evaluation_path.write_text(json.dumps(result))
    elif end == "stopped":
        run.model_path.write_bytes(b"weights")
        write(e.Stopped, step=total, epoch=epochs)
    elif end == "failed":
        write(e.Failed, message="the loss is not a number", exit_code=1)
    log.close()
