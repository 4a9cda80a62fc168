from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

MakePictures = Callable[..., None]


@pytest.fixture
def make_pictures(tmp_path: Path) -> MakePictures:
    """Write `count` small colour pictures into tmp_path/folder."""

    def make(
        folder: str, count: int, *, size: tuple[int, int] = (32, 32), mode: str = "RGB"
    ) -> None:
        target = tmp_path / folder
        target.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new(mode, size, number % 256).save(target / f"{number:03}.png")

    return make
