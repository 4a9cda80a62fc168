"""Makes the pictures in ``samples/`` that predictions are tried on.

Run from the top of a checkout, in its environment: ``python assets/make_samples.py``. The digits
are from the test split of seed 0, eight times enlarged; the shapes are of a seed that no default
set uses.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vixtui.data import builtin, shapes
from vixtui.data.sources import open_source

SAMPLES = Path(__file__).with_name("samples")
DIGITS = (3, 5, 8)
SHAPES = ("heart", "star", "wave")
SIDE = 64

SAMPLES.mkdir(exist_ok=True)
test = open_source("digits", seed=0).split.test
for digit in DIGITS:
    item = next(item for item, label in test if label == digit)
    picture = builtin.draw("digits", item, height=builtin.DIGIT_SIDE, width=builtin.DIGIT_SIDE)
    picture.resize((SIDE, SIDE), Image.Resampling.NEAREST).save(SAMPLES / f"digit-{digit}.png")
for name in SHAPES:
    picture = builtin.draw("shapes:seed=2026", shapes.CLASSES.index(name), height=SIDE, width=SIDE)
    picture.save(SAMPLES / f"shape-{name}.png")
