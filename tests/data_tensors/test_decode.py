from __future__ import annotations

import pytest
import torch
from PIL import Image

from vixtui.data.decode import decode
from vixtui.errors import DataError


def test_channels_come_first_and_rows_before_columns(tmp_path) -> None:
    image = Image.new("RGB", (3, 2), (10, 20, 30))
    image.putpixel((2, 1), (1, 2, 3))
    image.save(tmp_path / "a.png")

    picture = decode(tmp_path / "a.png", height=2, width=3, channels=3)

    assert picture.shape == (3, 2, 3)
    assert picture.dtype == torch.uint8
    assert picture[:, 0, 0].tolist() == [10, 20, 30]
    assert picture[:, 1, 2].tolist() == [1, 2, 3]


def test_colour_becomes_grey_where_the_model_sees_grey(tmp_path) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "a.png")

    picture = decode(tmp_path / "a.png", height=8, width=8, channels=1)

    assert picture.shape == (1, 8, 8)
    assert picture[0, 0, 0] == 76


def test_a_file_that_is_no_picture_is_a_data_error(tmp_path) -> None:
    (tmp_path / "a.jpg").write_text("hello")

    with pytest.raises(DataError, match=r"text.*a\.jpg"):
        decode(tmp_path / "a.jpg", height=8, width=8, channels=3)
