"""Accuracy beside other trainings of the same pictures, on one thread, in 100 s each.

    python benchmarks/accuracy_peers.py DIR

DIR holds CIFAR-10 as train/CLASS/*.jpg and test/CLASS/*.jpg; 200 training pictures a class are
drawn. vixtui trains with three seeds. What the others do is told in benchmarks/peers.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

from accuracy import SECONDS, draw_subset, train

PRESET, SEEDS = "hybrid-fnet:tiny", (0, 1, 2)
TARGET, AIM = 0.55, 0.60
PEERS = {"timm": "timm ResNet-18", "vin": "official ViN, patch 4"}


def train_peer(peer: str, data: Path) -> dict[str, float]:
    """Return top-1 and epochs of another training."""
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), peer]
    command += [str(data / "train"), str(data / "test"), str(SECONDS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout.splitlines()[-1])


def lines(source: Path) -> Iterator[str]:
    """Tell the comparison, line by line."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "pictures"
        draw_subset(source, data, seed=0)
        ours = []
        for seed in SEEDS:
            result = train(data, Path(folder) / "home", PRESET, seed)
            ours.append(float(result["top1"]))  # type: ignore[arg-type]
            yield f"vixtui {PRESET}, seed {seed:<14} {ours[-1]:7.1%}"
        met = "yes" if mean(ours) >= TARGET else "NO"
        yield (
            f"vixtui, mean of {len(SEEDS)} seeds (sd {stdev(ours):.1%}) {mean(ours):15.1%}"
            f"  target ≥ {TARGET:.0%}, aim {AIM:.0%}: {met}"
        )
        for peer, title in PEERS.items():
            found = train_peer(peer, data)
            yield (
                f"{title:38} {found['top1']:7.1%}  {found['epochs']:.1f} epochs;"
                f" vixtui / it: {mean(ours) / found['top1']:.2f}"
            )


def main() -> None:
    """Print the comparison."""
    for line in lines(Path(sys.argv[1])):
        print(line, flush=True)


if __name__ == "__main__":
    main()
