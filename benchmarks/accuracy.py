"""What each preset reaches in 100 s on one thread, from 2,000 CIFAR-10 pictures.

    python benchmarks/accuracy.py DIR [PRESET …] [--write]

DIR holds CIFAR-10 as train/CLASS/*.jpg and test/CLASS/*.jpg. 200 training pictures a class are
drawn by seed; all test pictures are tested. ``--write`` puts the results into
``vixtui/planning/measured.toml``, by which ``vixtui recommend`` ranks; without it they are printed.
Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import tomli_w

from vixtui import __version__
from vixtui.planning.accuracy import PATH, read_measurements
from vixtui.presets import all_presets

PICTURES_A_CLASS = 200
SECONDS = 100
DATA = f"CIFAR-10, {PICTURES_A_CLASS} training pictures a class"


def draw_subset(source: Path, target: Path, seed: int) -> None:
    """Link the drawn training pictures and all test pictures under `target`."""
    draw = random.Random(seed)
    for folder in sorted((source / "train").iterdir()):
        place = target / "train" / folder.name
        place.mkdir(parents=True)
        for picture in draw.sample(sorted(folder.iterdir()), PICTURES_A_CLASS):
            os.symlink(picture.resolve(), place / picture.name)
    os.symlink((source / "test").resolve(), target / "test")


def train(data: Path, home: Path, preset: str | None, seed: int) -> dict[str, object]:
    """Return the evaluation of one training."""
    name = f"{(preset or 'recommended').replace(':', '-')}-{seed}"
    command = [sys.executable, "-m", "vixtui", "train", str(data), "--time", f"{SECONDS}s"]
    command += ["--threads", "1", "--seed", str(seed), "--name", name]
    command += ["--preset", preset] if preset else []
    environment = os.environ | {"VIXTUI_HOME": str(home)}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return json.loads((home / "runs" / name / "evaluation.json").read_text())


def write(results: dict[str, float]) -> None:
    """Replace the entries of these presets in the shipped table."""
    comments = [line for line in PATH.read_text().splitlines() if line.startswith("#")]
    kept = [entry for entry in read_measurements() if entry.preset not in results]
    entries = [{name: getattr(entry, name) for name in entry.__slots__} for entry in kept]
    entries += [
        {
            "preset": preset,
            "top1": round(top1, 4),
            "data": DATA,
            "image_size": 32,
            "seconds": float(SECONDS),
            "threads": 1,
            "date": datetime.date.today().isoformat(),
            "vixtui": __version__,
        }
        for preset, top1 in results.items()
    ]
    entries.sort(key=lambda entry: str(entry["preset"]))
    body = tomli_w.dumps({"measurement": entries})
    PATH.write_text("\n".join(comments) + "\n\n" + body)


def main() -> None:
    """Measure and print, or write, the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("presets", nargs="*", help="default: every tiny preset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    tiny = [name for name, preset in all_presets().items() if preset.size == "tiny"]
    with tempfile.TemporaryDirectory() as folder:
        subset = Path(folder) / "pictures"
        draw_subset(options.data, subset, seed=0)
        for name in options.presets or tiny:
            result = train(subset, Path(folder) / "home", name, options.seed)
            low, high = result["top1_interval"]
            print(f"{name:24} {result['top1']:.4f}  95 %: {low:.4f} to {high:.4f}", flush=True)
            if options.write:
                write({name: float(result["top1"])})


if __name__ == "__main__":
    main()
