"""Makes ``digits.safetensors`` from scikit-learn's copy of the UCI optical digits.

Run from the top of a checkout: ``pip install scikit-learn safetensors`` in an environment of its
own, then ``python assets/make_digits.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

digits = load_digits()
# Stored values are 0 to 16: counts of set pixels in 4×4 blocks of a 32×32 bitmap.
images = np.round(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
labels = digits.target.astype(np.uint8)  # (1797,)
save_file(
    {"images": images, "labels": labels},
    Path(__file__).with_name("digits.safetensors"),
    metadata={
        "title": "Optical Recognition of Handwritten Digits, test set",
        "attribution": (
            "E. Alpaydin, C. Kaynak (1998). Optical Recognition of Handwritten Digits,"
            " UCI Machine Learning Repository, CC BY 4.0"
        ),
        "source": "https://archive.ics.uci.edu/dataset/80",
        "changes": "values 0 to 16 scaled to 0 to 255",
    },
)
