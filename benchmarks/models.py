"""Memory and time of the models, beside the official ones and beside attention.

    python benchmarks/models.py [--quick] [--only NAME]

``--quick`` prints the first table only, ``--only vin`` one part of it; the whole, `make
bench-models`, also goes to benchmarks/results/models.md.
"""

from __future__ import annotations

import argparse
import platform
import textwrap
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import against_attention
import against_official
import growth

RESULTS = Path(__file__).parent / "results" / "models.md"
PACKAGES = ("vixtui", "torch", "vision-xformer", "vit-pytorch", "performer-pytorch")
SETTING = """\
Training steps in single precision on one thread: forward, cross entropy, backward, AdamW.
Memory is that of allocation events, what one more picture takes, from two batches; seconds are
processor time, the least of several turns that the compared models take one after the other.
dim 128, depth 4, 4 heads, MLP 256, 10 classes, no dropout, a token a pixel. Official models embed
patches by LayerNorm, Linear, LayerNorm, ours by one Linear; official ViP has torch.qr, which torch
removed, replaced by torch.linalg.qr. ViN has 64 landmarks, ours at 256 tokens 32."""


def official_lines(names: tuple[str, ...]) -> Iterator[str]:
    """Tell the first table."""
    yield "Ours beside the official classes, 1,024 tokens"
    yield from against_official.lines(names)


def further_lines() -> Iterator[str]:
    """Tell the second and third table."""
    yield ""
    yield "Beside naive and fused attention; MB and ms a picture"
    tables: dict[int, against_attention.Table] = {}
    yield from against_attention.lines(tables.__setitem__)
    for sentence in against_attention.conclusions(tables):
        yield from textwrap.wrap(sentence, 100, subsequent_indent="  ")
    yield ""
    yield "Growth with the tokens, exponents"
    yield from growth.lines()


def main() -> None:
    """Print, and write the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the first table only")
    parser.add_argument("--only", choices=against_official.NAMES, help="a part of the first table")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    told = []

    def tell(line: str) -> None:
        told.append(line.rstrip())
        print(line.rstrip(), flush=True)

    tell(f"{platform.platform()}, Python {platform.python_version()}, {versions}")
    tell(SETTING)
    tell("")
    for line in official_lines((options.only,) if options.only else against_official.NAMES):
        tell(line)
    if options.quick or options.only:
        return
    for line in further_lines():
        tell(line)
    text = "\n".join(told)
    RESULTS.write_text(f"# make bench-models\n\n```\n{text}\n```\n", encoding="utf-8")


if __name__ == "__main__":
    main()
