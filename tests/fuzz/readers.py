"""Readers of what comes from outside, fed by atheris with bytes that reach new code.

    python tests/fuzz/readers.py [--runs 10000] [READER]

Needs the extra ``fuzz``; says so and does nothing without it. A reader returns, or raises the
error of one line that users see; whatever else it raises, or five seconds without an answer, ends
the run with the input in a file.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

SECONDS_AN_INPUT = 5
MEGABYTES = 2000
LONGEST_INPUT = 4096
GIGABYTE = 10**9
Reader = Callable[[bytes], None]


def main() -> int:
    """Fuzz one reader in this process, or each in one of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reader", nargs="?", metavar="READER", choices=[*SEEDS, None])
    parser.add_argument("--runs", type=int, default=10_000, help="inputs a reader")
    options = parser.parse_args()
    if find_spec("atheris") is None:
        print("fuzzing by coverage is left out: pip install -e '.[fuzz]' on Linux brings atheris")
        return 0
    if options.reader:
        fuzz(options.reader, options.runs)
    failed = []
    for name in SEEDS:
        command = [sys.executable, __file__, name, "--runs", str(options.runs)]
        with tempfile.TemporaryDirectory() as folder:  # libFuzzer leaves without tidying up
            environment = os.environ | {"TMPDIR": folder}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, errors="replace"
            )
        print(f"{name}: {'failed' if done.returncode else f'{options.runs:,} inputs'}", flush=True)
        if done.returncode:
            failed.append(name)
            print(done.stdout + done.stderr)
    return 1 if failed else 0


def fuzz(name: str, runs: int) -> None:
    """Feed a reader; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["vixtui"]):
        reader = READERS[name]()
    folder = tempfile.mkdtemp()
    for number, seed in enumerate(SEEDS[name]()):
        Path(folder, str(number)).write_bytes(seed)
    limits = (
        f"-atheris_runs={runs}",
        f"-timeout={SECONDS_AN_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST_INPUT}",
        f"-artifact_prefix=fuzz-{name}-",
    )
    # libFuzzer's alarm goes on while Python ends, and would then end it as if it had failed.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)
    atheris.Setup([sys.argv[0], *limits, folder], reader)
    atheris.Fuzz()


def of_file(read: Callable[[Path], object], suffix: str) -> Reader:
    """Return a reader of bytes for one of files."""
    from vixtui.errors import VixtuiError

    descriptor, name = tempfile.mkstemp(suffix=suffix)
    os.close(descriptor)
    path = Path(name)

    def from_bytes(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(VixtuiError):
            read(path)

    return from_bytes


def of_text(read: Callable[[str], object]) -> Reader:
    """Return a reader of bytes for one of texts."""
    from vixtui.errors import VixtuiError

    def from_bytes(content: bytes) -> None:
        with suppress(VixtuiError):
            read(os.fsdecode(content))

    return from_bytes


def weights() -> Reader:
    """Weights files."""
    from vixtui.runs.weights import check_weights

    return of_file(check_weights, ".safetensors")


def runs() -> Reader:
    """``run.toml``."""
    from vixtui.runs.config import read_config

    return of_file(read_config, ".toml")


def events() -> Reader:
    """The log of events, into the progress that it amounts to."""
    from vixtui.runs.progress import RunProgress

    return of_file(RunProgress.read, ".jsonl")


def presets() -> Reader:
    """Names of presets, with a size of pictures behind a space."""
    from vixtui.presets import preset
    from vixtui.runs.bounds import check_size

    def read(text: str) -> None:
        name, *sizes = text.split(" ")
        with suppress(ValueError):
            height, width, classes = map(int, sizes)
            config = preset(name).model_config(
                image_height=height, image_width=width, in_channels=3, num_classes=classes
            )
            check_size(config)
            return
        preset(name)

    return of_text(read)


def budgets() -> Reader:
    """Amounts of memory and of time."""
    from vixtui.errors import VixtuiError
    from vixtui.units import parse_bytes, parse_seconds

    def read(text: str) -> None:
        with suppress(VixtuiError):
            assert 0 <= parse_bytes(text, whole=GIGABYTE) < 2**60
        assert 0 < parse_seconds(text) <= 365 * 86400

    return of_text(read)


def weights_seeds() -> list[bytes]:
    """Return good and malformed files that are small."""
    from weights_corpus import FILES
    from weights_corpus import weights as good

    made = [make() for kind, (make, _) in FILES.items() if "0,00" not in kind and "MB" not in kind]
    return [good(), *(content for content in made if len(content) <= LONGEST_INPUT)]


def run_seeds() -> list[bytes]:
    """Return a decision of each kind of value."""
    from dataclasses import replace

    from weights_corpus import CARD

    from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig, write_config

    data = DataConfig(
        source="digits", classes=CARD.classes, image_height=8, image_width=8, in_channels=1,
        fingerprint="f", train=100, validation=20, test=30,
    )  # fmt: skip
    plan = Plan(
        device="cpu", micro_batch=64, budget_bytes=GIGABYTE, predicted_peak_bytes=3, basis="none"
    )
    config = RunConfig(
        id="a-run", created="2026-11-22", vixtui="0", preset="vit:tiny", seed=0, model=CARD.model,
        data=data, recipe=Recipe(epochs=3), plan=plan,
    )  # fmt: skip
    timed = replace(config, recipe=Recipe(seconds=60.0))
    with tempfile.TemporaryDirectory() as folder:
        path, found = Path(folder, "run.toml"), []
        for decision in (config, timed):
            write_config(path, decision)
            found.append(path.read_bytes())
    return found


def event_seeds() -> list[bytes]:
    """Return a line of each kind of event, and all of them."""
    from dataclasses import MISSING, fields

    from vixtui.runs.events import TYPES, encode

    samples = {"int": 1, "float": 0.5, "str": "cpu", "bool": True}
    lines = []
    for kind in TYPES.values():
        needed = [field for field in fields(kind) if field.default is MISSING]
        values = {field.name: samples.get(str(field.type).split(" ")[0], 1) for field in needed}
        lines.append(encode(kind(**values)))
    return [*lines, b"".join(lines)]


def preset_seeds() -> list[bytes]:
    """Return names with and without sizes."""
    from vixtui.presets import all_presets

    names = list(all_presets())[::7]
    return [name.encode() for name in names] + [f"{name} 32 32 10".encode() for name in names]


def budget_seeds() -> list[bytes]:
    """Return amounts of each unit."""
    words = ["4GB", "3.5GiB", "800MB", "50%", "1e9", "90s", "2m", "1h30m", "1d", "٣GB"]
    return [word.encode() for word in words]


READERS: dict[str, Callable[[], Reader]] = {
    "weights": weights,
    "presets": presets,
    "run.toml": runs,
    "events": events,
    "budgets": budgets,
}
SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "weights": weights_seeds,
    "presets": preset_seeds,
    "run.toml": run_seeds,
    "events": event_seeds,
    "budgets": budget_seeds,
}

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main())
