"""The same picture, however it is stored; and what cannot be one."""

from __future__ import annotations

import os
import random
import struct
import sys
import threading
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from vixtui.data.pictures import read_header, read_picture
from vixtui.errors import DataError

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")


def save(path: Path, image: Image.Image, **options: object) -> str:
    image.save(path, **options)
    return str(path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def grey_ramp(mode: str, values: tuple[float, ...]) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def test_16_bit_png_is_scaled_not_clipped(tmp_path) -> None:
    path = save(tmp_path / "a.png", grey_ramp("I;16", (0, 257 * 100, 257 * 200, 65535)))

    assert list(read_picture(path, grey=True).tobytes()) == [0, 100, 200, 255]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("I;16", (0, 257 * 64, 65535), [0, 64, 255]),
        ("I;16B", (0, 257 * 64, 65535), [0, 64, 255]),
        ("I", (0, 257 * 64, 65535), [0, 64, 255]),
        ("I", (0, 1 << 20, 1 << 21), [0, 128, 255]),
        ("F", (0.0, 0.5, 1.0), [0, 128, 255]),
        ("F", (0.0, 60.0, 255.0), [0, 60, 255]),
        ("F", (-1.0, 257.0 * 64, 65535.0), [0, 64, 255]),
    ],
)
def test_deep_tiff_is_scaled_to_8_bit(tmp_path, mode, values, expected) -> None:
    path = save(tmp_path / "a.tif", grey_ramp(mode, values))

    assert list(read_picture(path, grey=True).tobytes()) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_exif_rotation_is_applied(tmp_path, orientation, ending) -> None:
    upright = Image.new("RGB", (4, 3), "white")
    upright.putpixel((0, 0), (255, 0, 0))
    upright.putpixel((3, 0), (0, 0, 255))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # as Image.Transpose
    stored = upright if orientation == 1 else upright.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if ending == "webp" else {}
    path = save(tmp_path / f"a.{ending}", stored, exif=exif, **options)

    assert read_picture(path).tobytes() == upright.tobytes()


def test_damaged_exif_is_not_obeyed(tmp_path) -> None:
    path = save(
        tmp_path / "a.jpg", Image.new("RGB", (9, 5)), exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01"
    )

    assert read_picture(path).size == (9, 5)


def test_transparent_pixels_become_white(tmp_path) -> None:
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 0, 0, 10, 20, 30])
    palette.putpixel((1, 0), 1)
    grey = Image.new("LA", (2, 1), (0, 0))

    full = read_picture(save(tmp_path / "rgba.png", clear))
    indexed = read_picture(save(tmp_path / "p.png", palette, transparency=0))

    assert full.tobytes() == indexed.tobytes() == bytes([255, 255, 255, 10, 20, 30])
    assert read_picture(save(tmp_path / "la.png", grey), grey=True).tobytes() == b"\xff\xff"


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("1", "png"), ("L", "png"), ("P", "gif"), ("RGB", "bmp"), ("CMYK", "jpg"), ("CMYK", "tif"),
     ("YCbCr", "jpg"), ("RGBA", "webp")],
)  # fmt: skip
def test_every_colour_mode_becomes_the_same_colour(tmp_path, mode, ending) -> None:
    path = save(tmp_path / f"a.{ending}", Image.new("RGB", (8, 8), "white").convert(mode))

    assert read_picture(path).mode == "RGB"
    assert min(read_picture(path).tobytes()) > 250
    assert read_picture(path, grey=True).mode == "L"


@pytest.mark.parametrize("ending", ["gif", "webp", "tif", "png"])
def test_the_first_frame_of_an_animation_is_used(tmp_path, ending) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    options = {"lossless": True} if ending == "webp" else {}
    path = save(
        tmp_path / f"a.{ending}", frames[0], save_all=True, append_images=frames[1:], **options
    )

    assert set(read_picture(path).tobytes()) == {255}


def test_the_shorter_side_is_scaled_and_the_centre_kept(tmp_path) -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    path = save(tmp_path / "a.png", wide)

    picture = read_picture(path, height=20, width=20)

    assert picture.size == (20, 20)
    assert picture.getpixel((10, 10)) == (0, 0, 255)
    assert picture.getpixel((1, 10))[2] > 200


@pytest.mark.parametrize("factor", [1, 3])
def test_a_whole_multiple_of_the_size_keeps_its_pixels(tmp_path, factor) -> None:
    small = Image.frombytes("L", (8, 8), bytes(range(0, 256, 4)))
    path = save(
        tmp_path / "a.png", small.resize((8 * factor, 8 * factor), Image.Resampling.NEAREST)
    )

    assert read_picture(path, height=8, width=8, grey=True).tobytes() == small.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 600), (2000, 3)])
def test_extreme_proportions_are_read(tmp_path, size) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", size))

    assert read_picture(path, height=16, width=24).size == (24, 16)


def test_a_large_jpeg_is_reduced_to_nearly_the_same_pixels(tmp_path) -> None:
    large = Image.linear_gradient("L").resize((1600, 1200)).convert("RGB")
    path = save(tmp_path / "a.jpg", large, quality=95)

    reduced = read_picture(path, height=32, width=32)
    whole = read_picture(path).crop((200, 0, 1400, 1200)).resize((32, 32), Image.Resampling.BICUBIC)

    assert max(abs(a - b) for a, b in zip(reduced.tobytes(), whole.tobytes(), strict=True)) <= 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am no picture\n", "text"),
        ("äöü €".encode() * 200, "text"),
        (b"\xef\xbb\xbf <!DOCTYPE html><html></html>", "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"PK\3\4\0\0", "ZIP"),
        (b"\x89PNG\r\n\x1a\n", "damaged PNG"),
        (JPEG + random.Random(0).randbytes(500), "JPEG|damaged|cut off"),
        (b"\0\1\2\3" * 9, "unknown kind"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_named(tmp_path, content, reason) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    with pytest.raises(DataError, match=reason) as caught:
        read_picture(str(path))

    assert str(path) in caught.value.message


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "tif", "bmp"])
def test_a_cut_file_is_refused_and_named(tmp_path, ending) -> None:
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    whole = Path(save(tmp_path / f"whole.{ending}", noise)).read_bytes()
    cut = tmp_path / f"cut.{ending}"
    cut.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(DataError, match=r"cut\."):
        read_picture(str(cut), height=32, width=32)


def test_truncated_jpeg_is_named(tmp_path) -> None:
    noise = Image.effect_noise((64, 64), 90)
    path = Path(save(tmp_path / "a.jpg", noise, progressive=True))
    path.write_bytes(path.read_bytes()[:-500])

    with pytest.raises(DataError, match=r"truncated.*a\.jpg"):
        read_picture(str(path))


def test_a_decompression_bomb_is_refused(tmp_path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(20_000, 20_000, chunk(b"IDAT", zlib.compress(b"\0" * 2501 * 2000))))

    for read in (read_picture, read_header):
        with pytest.raises(DataError, match="64 megapixels"):
            read(str(path))


def test_a_text_chunk_bomb_is_refused(tmp_path) -> None:
    path = tmp_path / "a.png"
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000)))
    path.write_bytes(
        png(8, 8, bomb, chunk(b"IDAT", zlib.compress(b"\0" * 16)), chunk(b"IEND", b""))
    )

    with pytest.raises(DataError, match="unpacks to too much"):
        read_picture(str(path))


def test_a_picture_without_size_is_refused(tmp_path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(0, 0, chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")))

    with pytest.raises(DataError):
        read_picture(str(path), height=8, width=8)


def test_formats_outside_the_list_are_refused(tmp_path) -> None:
    path = save(tmp_path / "a.ppm", Image.new("RGB", (8, 8)))

    with pytest.raises(DataError, match="not a picture"):
        read_picture(path)


def test_text_in_a_picture_is_kept_out_of_the_error(tmp_path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "\x1b]0;owned\x07")
    path = Path(save(tmp_path / "\x1b[31m.png", Image.effect_noise((64, 64), 90), pnginfo=info))
    path.write_bytes(path.read_bytes()[:400])

    with pytest.raises(DataError) as caught:
        read_picture(str(path))

    assert "\x1b" not in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")
def test_pipes_and_folders_are_refused_at_once(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()

    def read_all() -> None:
        for name in ("pipe.jpg", "folder.jpg", "missing.jpg"):
            with pytest.raises(DataError):
                read_picture(str(tmp_path / name))

    reader = threading.Thread(target=read_all, daemon=True)
    reader.start()
    reader.join(10)

    assert not reader.is_alive()


def test_the_header_tells_size_and_grey(tmp_path) -> None:
    assert read_header(save(tmp_path / "a.png", Image.new("L", (9, 7)))) == (9, 7, True)
    assert read_header(save(tmp_path / "b.jpg", Image.new("RGB", (9, 7)))) == (9, 7, False)
