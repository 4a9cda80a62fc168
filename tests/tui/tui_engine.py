"""A stand-in for the engine that needs no torch: writes believable events, obeys commands.

``train RUN_DIR`` plays a run of ``FAKE_EPOCHS`` epochs, a step each ``FAKE_STEP_SECONDS``; with
``FAKE_END`` ``crash``, ``fail`` or ``lost`` it ends badly half-way. ``serve`` answers questions.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import psutil

from vixtui.runs import events as e
from vixtui.runs import lock
from vixtui.runs.config import read_config
from vixtui.runs.control import Inbox

EPOCHS = int(os.environ.get("FAKE_EPOCHS", "4"))
STEP_SECONDS = float(os.environ.get("FAKE_STEP_SECONDS", "0.01"))
END = os.environ.get("FAKE_END", "")
STEPS_PER_EPOCH = 10


def evaluation(classes: list[str]) -> dict[str, object]:
    """Return a result in which each class is taken for the next one in 1 of 10 pictures."""
    count = len(classes)
    confusion = [
        [9 if j == i else 1 if j == (i + 1) % count else 0 for j in range(count)]
        for i in range(count)
    ]
    return {
        "schema_version": 1,
        "source": "digits",
        "split": "test",
        "images": 10 * count,
        "classes": classes,
        "top1": 0.9,
        "top1_interval": [0.85, 0.94],
        "top5": 0.99,
        "top_k": min(5, count),
        "loss": 0.31,
        "ece": 0.042,
        "confusion": confusion,
        "per_class": [
            {"class": name, "precision": 0.9, "recall": 0.9 - 0.01 * i, "f1": 0.9, "images": 10}
            for i, name in enumerate(classes)
        ],
        "calibration": [
            {"confidence": (i + 0.5) / 10, "accuracy": i / 10, "images": i} for i in range(10)
        ],
        "mistakes": [],
        "images_per_second": 3000.0,
        "model": "fake",
    }


def train(folder: Path) -> int:
    config = read_config(folder / "run.toml")
    lock.acquire(folder / "lock")
    inbox = Inbox(folder / "control", since=psutil.Process().create_time())
    log = e.EventWriter(folder / "events.jsonl")

    def write(kind: type[e.Event], **values: object) -> None:
        log.write(kind, time.time(), **values)

    write(e.RunStarted, pid=os.getpid(), device="cpu", resumed_step=0)
    write(
        e.DataChecked, train=400, validation=50, test=50, unusable=0,
        num_classes=len(config.data.classes), seconds=0.1,
    )  # fmt: skip
    write(
        e.ModelBuilt, parameters=430_000, threads=1, precision="fp32", images_per_second=1900.0,
        steps_per_epoch=STEPS_PER_EPOCH, epochs=EPOCHS, seconds_budget=None,
    )  # fmt: skip
    total = EPOCHS * STEPS_PER_EPOCH
    for step in range(1, total + 1):
        time.sleep(STEP_SECONDS)
        command = inbox.poll()
        if command == "pause":
            write(e.Paused, step=step)
            while command not in ("resume", "stop"):
                time.sleep(0.01)
                command = inbox.poll() or command
            if command == "resume":
                write(e.Resumed, step=step)
        if command == "stop":
            (folder / "model.safetensors").write_bytes(b"weights")
            write(e.Checkpointed, step=step, bytes=1000)
            write(e.Stopped, step=step, epoch=step // STEPS_PER_EPOCH)
            lock.release(folder / "lock")
            return 0
        if END and step > total // 2:
            if END == "fail":
                write(e.Failed, message="the loss is not a number", exit_code=1)
                return 1
            os._exit(137)
        part = step / total
        write(
            e.StepDone, step=step, epoch=step / STEPS_PER_EPOCH, loss=2.3 * math.exp(-3 * part),
            accuracy=0.1 + 0.85 * part, lr=1e-3, grad_norm=0.8, images_per_second=1900.0,
            memory_bytes=400_000_000, progress=part, eta_seconds=(total - step) * STEP_SECONDS,
        )  # fmt: skip
        if step % STEPS_PER_EPOCH == 0:
            epoch = step // STEPS_PER_EPOCH
            write(e.EpochDone, epoch=epoch, step=step, loss=1.0, accuracy=part, seconds=0.1)
            write(
                e.Validated, epoch=epoch, step=step, top1=0.9 * part, top5=1.0,
                loss=2.4 * math.exp(-2.5 * part), is_best=True,
            )  # fmt: skip
            write(e.Checkpointed, step=step, bytes=1000)
    (folder / "model.safetensors").write_bytes(b"weights")
    write(e.TestStarted, split="test", images=50)
    result = evaluation(list(config.data.classes))
    (folder / "evaluation.json").write_text(json.dumps(result))
    write(e.Tested, split="test", top1=0.9, top5=0.99, loss=0.31, images=50)
    write(
        e.Finished, reason="schedule", best_epoch=EPOCHS, best_top1=0.9, seconds=12.0,
        peak_memory_bytes=412_000_000,
    )  # fmt: skip
    lock.release(folder / "lock")
    return 0


def serve() -> int:
    for line in sys.stdin:
        question = json.loads(line)
        if question["ask"] == "evaluate":
            for number in range(3):
                say({"type": "progress", "warning": f"picture {number} is damaged"})
            say({"type": "progress", "done": 25, "total": 50})
            config = read_config(Path(question["run"]) / "run.toml")
            say({"type": "result", **evaluation(list(config.data.classes))})
        elif question["ask"] == "predict":
            answers = [predict(path) for path in question["paths"]]
            model = {
                "classes": ["cat", "dog"], "image_height": 8, "image_width": 8, "in_channels": 3,
                "metrics": {}, "title": "fake",
            }  # fmt: skip
            say(
                {
                    "type": "result",
                    "predictions": answers,
                    "model": model,
                    "seconds_per_image": 0.004,
                }
            )
        else:
            say(
                {
                    "type": "error",
                    "exit_code": 2,
                    "what": "no such question",
                    "where": "",
                    "remedy": "",
                }
            )
    return 0


def predict(path: str) -> dict[str, object]:
    if "broken" in path:
        return {"path": path, "top": [], "error": "not a picture but text"}
    top = [{"class": "[/x]cat", "probability": 0.82}, {"class": "dog", "probability": 0.18}]
    return {"path": path, "top": top, "error": None}


def say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[2])) if sys.argv[1] == "train" else serve())
