"""Other trainings of the same pictures, each in a process of its own, within the same time.

    python benchmarks/peers.py timm|vin TRAIN TEST SECONDS

Prints top-1 on TEST and the passes over TRAIN as JSON. The time runs from the start of the process
to the last update; the test is not counted. Neither holds pictures out: all of TRAIN is learned
from, and the last weights are tested.

timm: `train.py` is not part of the package, so its loop is put together here from the package's
parts, with train.py's defaults: batch 128, SGD with momentum 0.9, weight decay 2e-5 and rate 0.1 ·
batch / 256, cosine to 0, label smoothing 0.1, random resized crop, flip, colour jitter 0.4. The
schedule is stretched to the given time instead of 300 epochs, with a warm-up of a twentieth.

vin: the loop of the official scripts: AdamW at 1e-3, batch 128, no schedule, no augmentation,
pictures scaled to ±1. The README's model, but for patches of 4 × 4 pixels and a quarter as many
landmarks as patches, as it says; with its patches of one pixel not one update of 64 pictures ends
in 100 s.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

SIDE, CLASSES, BATCH = 32, 10, 128
Loader = Iterable[tuple[Tensor, Tensor]]


def time_left(seconds: float) -> Callable[[], float]:
    """Return a function that tells the fraction of the time that is over."""
    started = psutil.Process().create_time()
    return lambda: (time.time() - started) / seconds


def learn(
    model: nn.Module,
    loader: Loader,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Callable[[], float],
    schedule: Callable[[float], object] = lambda done: None,
) -> float:
    """Train until `progress` is 1; return the passes over the pictures."""
    updates, in_epoch = 0, len(loader)  # type: ignore[arg-type]
    model.train()
    while True:
        for images, labels in loader:
            if (done := progress()) >= 1:
                return updates / in_epoch
            schedule(done)
            optimizer.zero_grad()
            loss(model(images), labels).backward()
            optimizer.step()
            updates += 1


@torch.inference_mode()
def top1(model: nn.Module, loader: Loader) -> float:
    """Return the fraction of right answers."""
    model.eval()
    hits = torch.cat([model(images).argmax(1) == labels for images, labels in loader])
    return hits.double().mean().item()


def train_timm(train: Path, test: Path, seconds: float) -> tuple[float, float]:
    """Return top-1 and epochs of a ResNet-18."""
    progress = time_left(seconds)
    import timm
    from timm.data import create_dataset, create_loader
    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    common = {
        "input_size": (3, SIDE, SIDE), "num_workers": 0, "device": torch.device("cpu"),
        "persistent_workers": False,
    }  # fmt: skip
    loader = create_loader(
        create_dataset("", root=str(train)),
        batch_size=BATCH,
        is_training=True,
        color_jitter=0.4,
        interpolation="random",
        **common,
    )
    model = timm.create_model("resnet18", num_classes=CLASSES)
    optimizer = create_optimizer_v2(
        model, opt="sgd", lr=0.1 * BATCH / 256, weight_decay=2e-5, momentum=0.9
    )
    steps = 1000
    scheduler, _ = create_scheduler_v2(
        optimizer, sched="cosine", num_epochs=steps, warmup_epochs=steps // 20, warmup_lr=1e-5,
        step_on_epochs=False, updates_per_epoch=1,
    )  # fmt: skip
    epochs = learn(
        model,
        loader,
        LabelSmoothingCrossEntropy(0.1),
        optimizer,
        progress,
        lambda done: scheduler.step_update(int(done * steps)),
    )
    tested = create_loader(create_dataset("", root=str(test)), batch_size=256, **common)
    return top1(model, tested), epochs


def train_vin(train: Path, test: Path, seconds: float) -> tuple[float, float]:
    """Return top-1 and epochs of the official Vision Nyströmformer."""
    progress = time_left(seconds)
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder
    from vision_xformer import ViN

    scale = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    model = ViN(
        image_size=SIDE, patch_size=4, num_classes=CLASSES, dim=128, depth=4, heads=4, mlp_dim=256,
        num_landmarks=16, pool="cls", channels=3, dropout=0.0, emb_dropout=0.0, dim_head=32,
    )  # fmt: skip
    loader = DataLoader(ImageFolder(str(train), scale), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    epochs = learn(model, loader, nn.CrossEntropyLoss(), optimizer, progress)
    return top1(model, DataLoader(ImageFolder(str(test), scale), batch_size=256)), epochs


def main() -> None:
    """Train one of them and print what it reaches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("timm", "vin"))
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train = train_timm if options.peer == "timm" else train_vin
    reached, epochs = train(options.train, options.test, options.seconds)
    print(json.dumps({"top1": reached, "epochs": epochs}))


if __name__ == "__main__":
    main()
