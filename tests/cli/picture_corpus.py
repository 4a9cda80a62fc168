"""Picture files of every bad and odd kind, written anew for each test.

Each entry is a file name, a function that returns its bytes, and what `vixtui check` says of it.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable

from PIL import Image


def draw(red: int, green: int, blue: int, side: int = 16) -> Image.Image:
    return Image.merge(
        "RGB", [Image.linear_gradient("L").resize((side, side)).point(lambda v, c=c: (v + c) % 256)
                for c in (red, green, blue)]
    )  # fmt: skip


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 1, colour: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    end = chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + end


def pixels(rows: bytes) -> bytes:
    return chunk(b"IDAT", zlib.compress(rows))


def zeros(megabytes: int) -> bytes:
    """Return zeros as zlib writes them, put together from blocks that are all the same."""
    deflate = zlib.compressobj(wbits=-15)
    block = deflate.compress(bytes(10**6)) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = (megabytes * 10**6 % 65521) << 16 | 1
    return b"\x78\x9c" + megabytes * block + b"\3\0" + struct.pack(">I", checksum)


def tiff(side: int, strip: bytes) -> bytes:
    """Return a grey picture whose only strip is packed by zlib."""
    entries = {
        256: side, 257: side, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: side, 279: len(strip),
    }  # fmt: skip
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(strip))
    return head + strip + struct.pack("<H", len(entries)) + table + bytes(4)


def turned(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif)


def upright_cmyk(image: Image.Image) -> bytes:
    """Return a JPEG whose inks are not inverted, as Adobe's are."""
    content = encoded(image.convert("CMYK"), "JPEG")
    start = content.index(b"\xff\xee")
    length = struct.unpack_from(">H", content, start + 2)[0]
    return content[:start] + content[start + 2 + length :]


def ycck(image: Image.Image) -> bytes:
    content = bytearray(encoded(image.convert("CMYK"), "JPEG"))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def animation(kind: str) -> bytes:
    frames = [draw(200, shade, 7) for shade in (0, 80, 160)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


NOISE = Image.effect_noise((64, 64), 90)
PICTURE = draw(33, 44, 55, side=40)
BOMB, LARGE_BOMB = zeros(80), zeros(1000)
UNUSABLE: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "truncated": ("a.jpg", lambda: encoded(NOISE, "JPEG")[:-300], "cut off (truncated)"),
    "progressive cut": (
        "a.jpg", lambda: encoded(NOISE, "JPEG", progressive=True)[:2000], "cut off (truncated)",
    ),
    "header and noise": (
        "a.jpg", lambda: encoded(NOISE, "JPEG")[:160] + os.urandom(99), "damaged|cut off",
    ),
    "text": ("a.jpg", lambda: b"no picture\n", "not a picture but text"),
    "empty": ("a.png", lambda: b"", "an empty file"),
    "web page": ("a.jpg", lambda: b"<!DOCTYPE html><p>404", "a web page (HTML)"),
    "Git LFS": ("a.jpg", lambda: b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "HEIC inside": ("a.jpg", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "but HEIC"),
    "HEIC": ("a.HEIC", lambda: b"\0\0\0\x18ftypheic", "HEIC is not read: save it as JPEG or PNG"),
    "AVIF inside": ("a.png", lambda: b"\0\0\0\x1cftypavif\0\0\0\0", "but AVIF"),
    "AVIF": ("a.avif", lambda: b"\0\0\0\x1cftypavif", "AVIF is not read"),
    "SVG inside": ("a.png", lambda: b"<svg xmlns='x'/>", "but SVG"),
    "SVG": ("a.svg", lambda: b"<svg/>", "SVG is not read"),
    "EPS": ("a.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    "FITS": ("a.tif", lambda: b"SIMPLE  =                    T", "FITS"),
    "another format": ("a.png", lambda: encoded(PICTURE, "PPM"), "but a PPM"),
    "decompression bomb": (
        "a.png", lambda: png(20_000, 20_000, pixels(bytes(2501 * 99))), "more than 64 megapixels",
    ),
    "text bomb": (
        "a.png", lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + BOMB), pixels(bytes(16))), "too much",
    ),
    "profile bomb": (
        "a.png", lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + BOMB), pixels(bytes(16))), "too much",
    ),
    "a gigabyte of text": (
        "a.png", lambda: png(8, 8, chunk(b"zTXt", b"a\0\0" + LARGE_BOMB), pixels(bytes(16))),
        "too much",
    ),
    "a gigabyte of foreign text": (
        "a.png", lambda: png(8, 8, chunk(b"iTXt", b"a\0\1\0\0\0" + LARGE_BOMB)), "too much",
    ),
    "a gigabyte of text at the end": (
        "a.png", lambda: png(8, 8, pixels(bytes(16)), chunk(b"zTXt", b"a\0\0" + LARGE_BOMB)),
        "too much",
    ),
    "a gigabyte of profile": (
        "a.png", lambda: png(8, 8, chunk(b"iCCP", b"a\0\0" + LARGE_BOMB), pixels(bytes(16))),
        "too much",
    ),
    "a gigabyte of pixels": ("a.tif", lambda: tiff(31_623, LARGE_BOMB), "more than 64 megapixels"),
    "an archive": ("a.jpg", lambda: b"PK\3\4" + LARGE_BOMB, "not a picture but a ZIP archive"),
    "no size": ("a.png", lambda: png(0, 0, pixels(b"")), "damaged"),
    "not finite": (
        "a.tif", lambda: encoded(Image.new("F", (9, 9), float("nan")), "TIFF"), "not finite",
    ),
}  # fmt: skip
ODD: dict[str, tuple[str, Callable[[], bytes], str, str]] = {
    "16-bit PNG": ("a.png", lambda: encoded(Image.new("I;16", (16, 16), 9), "PNG"), "16-bit", "8"),
    "16-bit RGB PNG": (
        "a.png", lambda: png(8, 8, pixels((b"\0" + bytes(48)) * 8), depth=16, colour=2), "16-bit",
        "scaled to 8",
    ),
    "16-bit TIFF": ("a.tif", lambda: encoded(Image.new("I;16", (16, 16), 9), "TIFF"), "16-bit", ""),
    "float TIFF": ("a.tif", lambda: encoded(Image.new("F", (16, 16), 0.5), "TIFF"), "16-bit", ""),
    "RGBA": ("a.png", lambda: encoded(PICTURE.convert("RGBA"), "PNG"), "alpha", "white"),
    "LA": ("a.png", lambda: encoded(PICTURE.convert("LA"), "PNG"), "alpha", "white"),
    "P with alpha": (
        "a.png", lambda: encoded(PICTURE.convert("P"), "PNG", transparency=0), "alpha", "white",
    ),
    "CMYK": ("a.jpg", lambda: encoded(PICTURE.convert("CMYK"), "JPEG"), "CMYK", "RGB"),
    "YCCK": ("a.jpg", lambda: ycck(PICTURE), "CMYK", "RGB"),
    "CMYK not inverted": ("a.jpg", lambda: upright_cmyk(PICTURE), "CMYK", "RGB"),
    **{
        f"EXIF {way}": ("a.jpg", lambda way=way: turned(PICTURE, way), "rotated", "turned upright")
        for way in range(2, 9)
    },
    "GIF": ("a.gif", lambda: animation("GIF"), "animated", "the first is used"),
    "WebP": ("a.webp", lambda: animation("WEBP"), "animated", "the first is used"),
    "APNG": ("a.png", lambda: animation("PNG"), "animated", "the first is used"),
    "pages": ("a.tif", lambda: animation("TIFF"), "animated", "the first is used"),
    "blank": ("a.jpg", lambda: encoded(Image.new("RGB", (20, 20)), "JPEG"), "blank", "one colour"),
    "a gigabyte behind the last row": (
        "a.png", lambda: png(8, 8, chunk(b"IDAT", LARGE_BOMB)), "blank", "one colour",
    ),
    "a gigabyte behind the last strip": (
        "a.tif", lambda: tiff(8, LARGE_BOMB), "blank", "one colour",
    ),
    "1x1": ("a.png", lambda: encoded(Image.new("L", (1, 1)), "PNG"), "size", "1×1 pixels: much"),
    "1x60000": ("a.png", lambda: png(1, 60_000, pixels(bytes(120_000))), "size", "1×60000 pixels"),
    "wide": ("a.bmp", lambda: encoded(PICTURE.resize((90, 16)), "BMP"), "size", "only the middle"),
    "video": ("a.mp4", lambda: b"\0\0\0\x18ftypmp42", "ignored", "not a picture by its name"),
    "no ending": ("a", lambda: encoded(PICTURE, "PNG"), "ignored", "not a picture by its name"),
}  # fmt: skip
FINE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "1-bit": ("a.png", lambda: encoded(PICTURE.convert("1"), "PNG")),
    "palette": ("a.png", lambda: encoded(PICTURE.convert("P"), "PNG")),
    "grey": ("a.jfif", lambda: encoded(PICTURE.convert("L"), "JPEG")),
    "progressive": ("a.JPG", lambda: encoded(PICTURE, "JPEG", progressive=True)),
    "EXIF 1": ("a.jpg", lambda: turned(PICTURE, 1)),
    "broken EXIF": (
        "a.jpg", lambda: encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\1"),
    ),
    "hidden": (".a.jpg", lambda: b"no picture"),
    "system": ("Thumbs.db", lambda: b"no picture"),
    "Mac": ("._a.jpg", lambda: b"no picture"),
}  # fmt: skip
