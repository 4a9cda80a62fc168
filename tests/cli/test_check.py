"""``vixtui check``: each bad input has its line and its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from vixtui.data import folder as folder_room

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Two classes of twelve different pictures, split into train, val and test."""
    root = tmp_path_factory.mktemp("drawn")
    for shade, part in enumerate(("train", "val", "test")):
        for colour, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for number in range(12):
                image = draw(10 * number, 50 * shade, 90 * colour)
                image.save(root / part / name / f"{number}.png")
    return root


@pytest.fixture
def pictures(tmp_path, drawn) -> Path:
    """A copy of `drawn` for one test to spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "pictures"))


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


def rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def ycck(image: Image.Image) -> bytes:
    content = bytearray(encoded(image.convert("CMYK"), "JPEG"))
    content[content.index(b"Adobe") + 11] = 2
    return bytes(content)


def animation(kind: str) -> bytes:
    frames = [draw(200, shade, 7) for shade in (0, 80, 160)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


NOISE = Image.effect_noise((64, 64), 90)
PICTURE = draw(33, 44, 55, side=40)
BOMB = zlib.compress(bytes(80_000_000))
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
    "EXIF": ("a.jpg", lambda: rotated(PICTURE), "rotated", "turned upright"),
    "GIF": ("a.gif", lambda: animation("GIF"), "animated", "the first is used"),
    "WebP": ("a.webp", lambda: animation("WEBP"), "animated", "the first is used"),
    "APNG": ("a.png", lambda: animation("PNG"), "animated", "the first is used"),
    "pages": ("a.tif", lambda: animation("TIFF"), "animated", "the first is used"),
    "blank": ("a.jpg", lambda: encoded(Image.new("RGB", (20, 20)), "JPEG"), "blank", "one colour"),
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
    "broken EXIF": (
        "a.jpg", lambda: encoded(PICTURE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\1"),
    ),
    "hidden": (".a.jpg", lambda: b"no picture"),
    "system": ("Thumbs.db", lambda: b"no picture"),
    "Mac": ("._a.jpg", lambda: b"no picture"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_file_is_named_and_strict_stops(vixtui, pictures, case):
    name, content, reason = UNUSABLE[case]
    (pictures / "train" / "cat" / name).write_bytes(content())

    result = vixtui("check", str(pictures))
    assert result.code == 0
    [row] = [line for line in result.out.splitlines() if f"train/cat/{name}" in line]
    assert row.startswith(("unusable", "format"))
    assert any(words in row for words in reason.split("|"))
    assert result.out.splitlines()[-2].startswith("1 problem: 1 ")
    assert result.err == ""

    result = vixtui("check", str(pictures), "--strict")
    assert result.code == 3
    assert result.err.startswith("error: 1 problem: 1 ")
    assert str(pictures) in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("case", ODD)
def test_an_odd_file_is_named_and_used(vixtui, pictures, case):
    name, content, kind, reason = ODD[case]
    (pictures / "train" / "cat" / name).write_bytes(content())

    result = vixtui("check", str(pictures), "--strict")
    assert (result.code, result.err) == (0, "")
    rows = [line for line in result.out.splitlines() if f"train/cat/{name}" in line]
    assert any(row.startswith(kind) and reason in row for row in rows)
    assert "0 problems" in result.out


@pytest.mark.parametrize("case", FINE)
def test_what_is_in_order_is_not_mentioned(vixtui, pictures, case):
    name, content = FINE[case]
    (pictures / "train" / "cat" / name).write_bytes(content())

    result = vixtui("check", str(pictures), "--strict")
    assert (result.code, result.err) == (0, "")
    assert "nothing to complain about" in result.out


def make_special(cat: Path, what: str) -> str:
    """Put something that is no file into a class folder; return the words that tell of it."""
    entry = cat / "odd.jpg"
    match what:
        case "FIFO":
            os.mkfifo(entry)
            return "not a regular file but a pipe (FIFO)"
        case "socket":
            here = os.getcwd()
            os.chdir(cat)  # a socket's path may not be long
            with socket.socket(socket.AF_UNIX) as end:
                end.bind("odd.jpg")
            os.chdir(here)
            return "not a regular file but a socket"
        case "device":
            entry.symlink_to("/dev/zero")
            return "not a regular file but a device"
        case "broken link":
            entry.symlink_to(cat / "nowhere")
            return "a link that leads nowhere"
        case "link to itself":
            entry.symlink_to(entry)
            return "a link that leads nowhere, or to itself"
        case "loop":
            entry.symlink_to(cat.parent)
            return "a link to a folder that is counted already: train"
        case _:
            entry.symlink_to(cat)
            return "a link to a folder that is counted already: train/cat"


@posix
@pytest.mark.parametrize(
    "what",
    ["FIFO", "socket", "device", "broken link", "link to itself", "loop", "link to its folder"],
)
def test_what_is_no_regular_file_is_named_and_left_alone(vixtui, pictures, what):
    words = make_special(pictures / "train" / "cat", what)

    result = vixtui("check", str(pictures))
    assert result.code == 0
    [row] = [line for line in result.out.splitlines() if "train/cat/odd.jpg" in line]
    assert row.startswith("unusable")
    assert words in row
    assert "72, 72 of them usable" in result.out
    assert vixtui("check", str(pictures), "--strict").code == 3


@posix
def test_files_and_folders_without_permission_are_named(vixtui, pictures):
    (pictures / "train" / "cat" / "0.png").chmod(0)
    (pictures / "train" / "dog" / "more").mkdir(mode=0)
    if os.access(pictures / "train" / "cat" / "0.png", os.R_OK):
        pytest.skip("root reads all")

    out = vixtui("check", str(pictures)).out
    assert "train/cat/0.png" in out
    assert "train/dog/more" in out
    assert out.count("Permission denied") == 2


def found(vixtui, root: Path) -> set[tuple[str, str, str]]:
    """Return what a check finds, as (kind, path, same_as)."""
    answer = json.loads(vixtui("check", str(root), "--json").out)
    return {(entry["kind"], entry["path"], entry["same_as"]) for entry in answer["findings"]}


@pytest.mark.parametrize(
    ("copy", "kinds"),
    [
        ("train/cat/copy.png", {"duplicate"}),
        ("train/dog/copy.png", {"two classes"}),
        ("test/cat/copy.png", {"leak"}),
        ("val/cat/copy.png", {"leak"}),
        ("test/dog/copy.png", {"leak", "two classes"}),
    ],
)
@pytest.mark.parametrize("way", ["copy", "re-encoded", "link"])
def test_the_same_picture_is_found_again(vixtui, pictures, copy, kinds, way):
    original, target = pictures / "train" / "cat" / "7.png", pictures / copy
    if way == "copy":
        shutil.copy(original, target)
    elif way == "link":
        os.link(original, target)
        kinds = kinds - {"leak"} if len(kinds) > 1 else kinds  # told once, and left out
    else:
        target = target.with_suffix(".bmp")
        Image.open(original).save(target)
    path = str(target.relative_to(pictures))

    assert found(vixtui, pictures) == {(kind, path, "train/cat/7.png") for kind in kinds}
    assert vixtui("check", str(pictures), "--strict").code == (0 if kinds == {"duplicate"} else 3)


def test_a_picture_compressed_again_is_not_recognised(vixtui, pictures):
    again = encoded(Image.open(pictures / "train" / "cat" / "7.png"), "JPEG", quality=60)
    (pictures / "test" / "dog" / "again.jpg").write_bytes(again)

    assert found(vixtui, pictures) == set()


def test_blank_pictures_are_the_same_only_as_files(vixtui, pictures):
    for part, side in (("train", 16), ("val", 20), ("test", 16)):
        Image.new("RGB", (side, side)).save(pictures / part / "cat" / "blank.png")

    assert {entry for entry in found(vixtui, pictures) if entry[0] != "blank"} == {
        ("leak", "test/cat/blank.png", "train/cat/blank.png")
    }


def test_a_drawn_split_is_checked_for_leaks(vixtui, tmp_path):
    for colour, name in enumerate(("cat", "dog")):
        (tmp_path / "all" / name).mkdir(parents=True)
        for number in range(30):
            image = draw(8 * (number // 2), 0, 90 * colour)
            image.save(tmp_path / "all" / name / f"{number}.png")

    kinds = {kind for kind, _, _ in found(vixtui, tmp_path / "all")}
    assert kinds == {"leak", "duplicate"}


def add_class(root: Path, name: str, *parts: str, count: int = 12) -> None:
    for part in parts:
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(number, len(name), len(part) + ord(name[0])).save(
                root / part / name / f"x{number}.png"
            )


@pytest.mark.parametrize(
    ("change", "expected", "code"),
    [
        (lambda root: (root / "train" / "ant").mkdir(), "class ant no pictures to train on", 3),
        (lambda root: add_class(root, "ant", "train"), "class ant no pictures in test", 3),
        (lambda root: add_class(root, "ant", "test"), "misplaced test/ant/x0.png in test", 3),
        (lambda root: add_class(root, "ant", "other"), "misplaced other beside train", 3),
        (lambda root: draw(1, 2, 3).save(root / "a.png"), "misplaced a.png outside", 3),
        (lambda root: draw(1, 2, 3).save(root / "val/a.png"), "misplaced val/a.png outside", 3),
        (
            lambda root: add_class(root, "ant", "train", "val", "test", count=1),
            "few ant only 1 to train on",
            0,
        ),
        (
            lambda root: add_class(root, "ant", "train", "val", "test", count=60),
            "imbalance cat 12 to train on, 60 of ant",
            0,
        ),
        (lambda root: add_class(root, "Cat", "train", "val", "test"), "class cat differs", 3),
        (lambda root: (root / "notes.txt").touch(), "ignored notes.txt not a picture", 0),
    ],
)
def test_odd_class_folders_are_named(vixtui, pictures, change, expected, code):
    change(pictures)

    result = vixtui("check", str(pictures), "--strict")
    assert any(" ".join(line.split()).startswith(expected) for line in result.out.splitlines())
    assert result.code == code


@posix
def test_class_names_that_only_look_the_same_are_told(vixtui, pictures):
    for form in ("NFC", "NFD"):
        add_class(pictures, unicodedata.normalize(form, "é"), "train", "val", "test")

    assert ("class", "é", unicodedata.normalize("NFD", "é")) in found(vixtui, pictures)


@pytest.mark.parametrize(
    "layout", ["empty", "flat", "one class", "all unusable", "a class all unusable", "too many"]
)
def test_a_folder_that_teaches_nothing_exits_3_with_one_line(
    vixtui, tmp_path, pictures, layout, monkeypatch
):
    root = tmp_path / "other"
    root.mkdir()
    match layout:
        case "flat":
            draw(1, 2, 3).save(root / "a.png")
        case "one class":
            shutil.copytree(pictures / "train" / "cat", root / "cat")
        case "all unusable" | "a class all unusable":
            shutil.copytree(pictures / "train", root, dirs_exist_ok=True)
            for path in root.glob("cat/*" if layout.startswith("a class") else "*/*"):
                path.write_text("text")
        case "too many":
            shutil.copytree(pictures / "train", root, dirs_exist_ok=True)
            monkeypatch.setattr(folder_room, "_MAX_CLASSES", 1)

    result = vixtui("check", str(root))
    assert result.code == 3
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    assert str(root) in result.err


HOSTILE = [
    "a b", "😀", "\u202egnp", "-rf", "new\nline", "[red]x", "[b]\\[", "\x1b]52;c;aGk=\x07",
    "\x9b31m", "=1+1", "@x", "%s{0}", "x" * 251, "caf\udce9", "e\u0301",
]  # fmt: skip


@posix
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)], ids=" ".join)
def test_any_name_is_shown_without_harm(vixtui, tmp_path, pictures, name, form):
    root = tmp_path / name
    shutil.copytree(pictures / "train", root)
    (root / name[:200]).mkdir()
    (root / "cat" / f"{name}.png").write_text("text")
    (root / "dog" / f"{name}.png").write_bytes((root / "cat" / "3.png").read_bytes())

    result = vixtui("check", str(root), *form, "--strict")
    assert result.code == 3
    for shown in (result.out, result.err):
        assert "".join(shown.splitlines()).isprintable()
        assert "\u202e" not in shown
    assert "unusable" in result.out
    assert "two classes" in result.out
    if form == ("--csv",):
        for cells in csv.reader(io.StringIO(result.out)):
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    if form == ("--json",):
        paths = [entry["path"] for entry in json.loads(result.out)["findings"]]
        assert f"cat/{name}.png" in paths


def test_every_unusable_file_is_listed_and_a_few_of_the_rest(vixtui, pictures):
    for number in range(30):
        (pictures / "train" / "cat" / f"bad{number}.jpg").write_text("text")
        (pictures / "train" / "cat" / f"note{number}.txt").touch()

    shown = vixtui("check", str(pictures)).out
    assert sum(line.startswith("unusable") for line in shown.splitlines()) == 30
    assert sum(line.startswith("ignored") for line in shown.splitlines()) == 11
    assert "… and 20 more" in shown
    assert "30 problems: 30 unusable" in shown
    assert "30 remarks: 30 ignored" in shown
    rows = list(csv.DictReader(io.StringIO(vixtui("check", str(pictures), "--csv").out)))
    assert len(rows) == 60
    assert {(row["finding"], row["problem"]) for row in rows} == {
        ("unusable", "1"),
        ("ignored", "0"),
    }


def test_json_counts_everything(vixtui, pictures):
    (pictures / "train" / "cat" / "0.png").write_text("text")
    (pictures / "val" / "dog" / "1.png").write_bytes(b"")

    answer = json.loads(vixtui("check", str(pictures), "--json").out)
    assert (answer["pictures"], answer["usable"], answer["problems"]) == (72, 70, 2)
    assert answer["classes"] == [
        {"name": "cat", "train": 11, "validation": 12, "test": 12},
        {"name": "dog", "train": 12, "validation": 11, "test": 12},
    ]
    assert answer["counts"] == {"unusable": 2}
    assert answer["findings"][0] == {
        "kind": "unusable", "path": "train/cat/0.png", "reason": "not a picture but text",
        "same_as": "", "problem": True,
    }  # fmt: skip


def test_a_terminal_shows_the_table_and_a_bar(pictures):
    pty = pytest.importorskip("pty")
    (pictures / "train" / "cat" / "\x1b[31m.png").write_text("text")
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "vixtui", "check", str(pictures)],
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 4096):
            shown += block
    except OSError:  # the other end is closed
        pass
    assert done.wait(60) == 0
    assert b"checking" in shown
    assert b"73/73" in shown
    assert b"\\x1b[31m.png" in shown
    assert b"\x1b[31m.png" not in shown


def test_nothing_is_written_to_the_folder(vixtui, pictures):
    def state() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in pictures.rglob("*"))

    (pictures / "train" / "cat" / "bad.jpg").write_text("text")
    before = state()
    for form in ((), ("--json",), ("--csv",), ("--strict",)):
        vixtui("check", str(pictures), *form)
    assert state() == before


def test_the_answer_does_not_depend_on_the_file_system(vixtui, pictures, monkeypatch):
    (pictures / "train" / "cat" / "bad.jpg").write_text("text")
    shutil.copy(pictures / "train" / "cat" / "3.png", pictures / "train" / "dog" / "3c.png")
    first = vixtui("check", str(pictures), "--json").out
    listing = os.scandir

    class Reversed:
        def __init__(self, path: str) -> None:
            with listing(path) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Reversed)
    assert vixtui("check", str(pictures), "--json").out == first


def test_checking_never_imports_torch_or_numpy(pictures):
    code = (
        "import sys\nfrom vixtui.cli.app import run\nrun(sys.argv[1:])\n"
        "print([m for m in ('torch', 'torchvision', 'numpy', 'textual') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", str(pictures)], capture_output=True, check=True
    )
    assert done.stdout.splitlines()[-1] == b"[]"


def test_strict_training_stops_before_a_run_is_made(vixtui, pictures, home):
    (pictures / "test" / "cat" / "bad.jpg").write_text("text")
    quick = ("train", str(pictures), "--preset", "vit:tiny", "--epochs", "3")

    result = vixtui(*quick, "--strict")
    assert result.code == 3
    assert "unusable: test/cat/bad.jpg: not a picture but text" in result.err
    assert result.err.splitlines()[-1].startswith("error: 1 problem: 1 unusable")
    assert not (home / "runs").exists()

    assert vixtui(*quick).code == 0
    (pictures / "test" / "cat" / "bad.jpg").unlink()
    assert vixtui(*quick, "--strict").code == 0
    assert vixtui("train", "digits", *quick[2:], "--strict").code == 0
