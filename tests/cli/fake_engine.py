"""Stands in for the engine: the same files, pipe and signals, without torch.

FAKE_ENGINE chooses what happens: finish (default), slow (steps until told to stop), killed,
failed, broken (dies at once).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import astuple, replace
from pathlib import Path

import psutil

from vixtui.errors import VixtuiError
from vixtui.memory.figures import execution_name, read_figures
from vixtui.models.config import ModelConfig
from vixtui.runs import events
from vixtui.runs.control import Inbox
from vixtui.runs.directory import RunDirectory
from vixtui.runs.lock import acquire, release

sys.path.insert(0, str(Path(__file__).parent.parent))
from weights_corpus import weights

HOSTILE_CLASS = "\x1b]52;c;aGk=\x07cat\u202e[red]"


def train(run: RunDirectory, behaviour: str) -> None:
    """Write the events of a training."""
    if behaviour == "broken":
        print(os.environ.get("FAKE_LAST_WORDS", "cannot start"))
        sys.exit(3)
    try:
        acquire(run.lock_path)
    except VixtuiError as error:
        sys.exit(error.exit_code)
    writer = events.EventWriter(run.events_path)

    def write(kind: type[events.Event], **values: object) -> None:
        writer.write(kind, time.time(), **values)

    write(events.RunStarted, run=run.id, pid=os.getpid(), device="cpu", resumed_step=0)
    write(
        events.DataChecked,
        train=100, validation=20, test=30, unusable=0, num_classes=3, seconds=0.1,
    )  # fmt: skip
    write(
        events.ModelBuilt,
        parameters=1000, threads=1, precision="fp32", images_per_second=500.0,
        steps_per_epoch=2, epochs=3, seconds_budget=None,
    )  # fmt: skip
    inbox = Inbox(run.control_path, since=psutil.Process().create_time())
    step = 0
    while step < 6 or behaviour == "slow":
        step += 1
        _step(write, step)
        if behaviour == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "slow":
            time.sleep(0.05)
            if inbox.poll() == "stop":
                write(events.Checkpointed, step=step, bytes=10)
                write(events.Stopped, step=step, epoch=step // 2)
                release(run.lock_path)
                return
    if behaviour == "failed":
        write(events.Failed, message="3 pictures are damaged", exit_code=3)
    else:
        _finish(run, write)
    release(run.lock_path)


def _step(write, step: int) -> None:
    write(
        events.StepDone,
        step=step, epoch=step / 2, loss=1 / step, accuracy=0.5, lr=1e-3, grad_norm=1.0,
        images_per_second=500.0, memory_bytes=3 * 10**8, progress=min(1.0, step / 6),
        eta_seconds=1.0,
    )  # fmt: skip
    if step % 2 == 0:
        epoch = step // 2
        write(events.EpochDone, epoch=epoch, step=step, loss=1 / step, accuracy=0.6, seconds=0.1)
        write(
            events.Validated,
            epoch=epoch, step=step, top1=0.5 + 0.1 * min(epoch, 4), top5=1.0, loss=0.5,
            is_best=True,
        )  # fmt: skip


def _finish(run: RunDirectory, write) -> None:
    run.model_path.write_bytes(weights())
    write(events.TestStarted, split="test", images=30)
    run.evaluation_path.write_text(json.dumps(evaluation(run.config().data.classes)))
    write(events.Tested, split="test", top1=0.9, top5=1.0, loss=0.4, images=30)
    write(
        events.Finished,
        reason="schedule", best_epoch=3, best_top1=0.8, seconds=1.5, peak_memory_bytes=3 * 10**8,
    )  # fmt: skip


def evaluation(classes) -> dict:
    """Return an evaluation in which the last class is the weakest and taken for the first."""
    count = len(classes)
    confusion = [[10 * (row == column) for column in range(count)] for row in range(count)]
    confusion[-1][0] = 4
    return {
        "schema_version": 1, "source": "digits", "split": "test", "images": 30,
        "classes": list(classes), "top1": 0.9, "top1_interval": [0.7, 0.97], "top5": 1.0,
        "top_k": min(5, count), "loss": 0.4, "ece": 0.05, "confusion": confusion,
        "per_class": [
            {"class": name, "precision": 0.9, "recall": 0.9, "f1": 0.9 - 0.01 * i, "images": 10}
            for i, name in enumerate(classes)
        ],
        "calibration": [], "mistakes": [], "images_per_second": 100.0, "model": "a run",
    }  # fmt: skip


def rates(product_flops: float) -> dict:
    """Return what one thread gets done in a second."""
    return {
        "threads": 1, "precision": "fp32", "product_flops": product_flops,
        "convolution_flops": 2e11, "attention_flops": 7e10, "moved_bytes": 2.13e10,
        "function_bytes": 7.1e9, "kernel_seconds": 5.2e-6,
    }  # fmt: skip


def traced(model: ModelConfig) -> dict:
    """Return made-up figures of all ways on the CPU: a preset's, with ten times the memory."""
    tokens, found = model.grid[0] * model.grid[1], {}
    for way, steps in read_figures().presets["vit:tiny"].executions.items():
        if way.backend == "cpu":
            peaks = {
                name: tuple(
                    tuple(10 * number if place % 2 else number for place, number in enumerate(one))
                    for one in getattr(steps[0], name)
                )
                for name in ("peaks", "part_peaks")
            }
            step = replace(steps[0], patch_size=model.patch_size, tokens=tokens, **peaks)
            found[execution_name(way)] = astuple(step)
    return found


def answer(question: dict) -> None:
    """Answer one question."""
    if question["ask"] == "evaluate":
        _say("progress", warning="2 pictures of unknown classes \x1b[2J are left out")
        _say("progress", done=30, total=30)
        found = evaluation(["zero", "one", HOSTILE_CLASS])
        found["per_class"][1] |= {"images": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0}
        found["source"] = question["source"] or "digits"
        found["split"] = question["split"] or "chosen"
        return _say("result", **found, asked=question)
    if question["ask"] == "download":
        _say("progress", done=1, total=2, message="half")
        return _say("result", path="somewhere")
    if question["ask"] == "bench":
        broken = os.environ.get("FAKE_ENGINE") == "broken"
        return _say("result", torch="2.14.1", rates=[rates(0.0 if broken else 1.04e11)])
    if question["ask"] == "trace":
        return _say("result", steps=traced(ModelConfig.from_dict(question["model"])))
    predictions = []
    for number, path in enumerate(question["paths"], start=1):
        readable = Path(path).read_bytes().startswith((b"picture", b"\x89PNG"))
        top = [
            {"class": HOSTILE_CLASS, "probability": 0.8},
            {"class": "=dog", "probability": 0.2},
        ]
        predictions.append(
            {"path": path, "top": top, "error": None}
            if readable
            else {"path": path, "top": [], "error": "not a picture"}
        )
        _say("progress", done=number, total=len(question["paths"]), prediction=predictions[-1])
    model = {
        "classes": [HOSTILE_CLASS, "=dog"], "image_height": 8, "image_width": 8, "in_channels": 3,
        "metrics": {}, "title": HOSTILE_CLASS,
    }  # fmt: skip
    return _say("result", predictions=predictions, model=model, seconds_per_image=0.01)


def _say(kind: str, **values: object) -> None:
    print(json.dumps({"type": kind, **values}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(RunDirectory(Path(sys.argv[2])), os.environ.get("FAKE_ENGINE", "finish"))
    else:
        for line in sys.stdin:
            answer(json.loads(line))
