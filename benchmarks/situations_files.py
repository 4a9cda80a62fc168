"""Bad and odd picture files."""

from __future__ import annotations

import io
import json
import os

from PIL import Image, ImageOps
from safetensors.torch import load_file
from situations import CLASSES, ODD, SIZES, UNUSABLE, Place, Verdict, encoded, situation

from vixtui.data.pictures import read_picture
from vixtui.runs.events import DataChecked, Finished

SKIPPED = "skip, name, count; `--strict` exits 3"
TRAINED = len(CLASSES) * SIZES["train"]


def skipped(place: Place, *kinds: str) -> Verdict:
    """Train beside unusable files: each named with what it is, counted, refused when strict."""
    reasons = {}
    for kind in kinds:
        name, content, reason = UNUSABLE[kind]
        stem = f"{kind.replace(' ', '-')}{os.path.splitext(name)[1]}"
        place.add(f"train/cat/{stem}", content())
        reasons[stem] = reason.split("|")
    done = place.train()
    lines = {stem: done.line(f"train/cat/{stem}") for stem in reasons}
    named = all(any(word in lines[stem] for word in reasons[stem]) for stem in reasons)
    counted = place.event(DataChecked)
    strict = place.train("--strict", name="strict")
    return Verdict(
        " / ".join(lines.values()),
        done.code,
        done.code == 0
        and named
        and counted.unusable == len(kinds)
        and place.event(Finished) is not None
        and strict.code == 3,
    )


@situation("truncated JPEG", SKIPPED)
def _(place: Place) -> Verdict:
    return skipped(place, "truncated", "progressive cut")


@situation("random bytes with a JPEG header", SKIPPED)
def _(place: Place) -> Verdict:
    return skipped(place, "header and noise")


@situation(
    "text, 0 bytes, HEIC, named .jpg", "“not an image: text / empty / HEIC”, nothing installed"
)
def _(place: Place) -> Verdict:
    return skipped(place, "text", "empty", "HEIC inside")


@situation("PNG with an 80 MB text chunk", "skip, name")
def _(place: Place) -> Verdict:
    return skipped(place, "text bomb")


@situation("400-megapixel 1-bit PNG", "skip, name")
def _(place: Place) -> Verdict:
    return skipped(place, "decompression bomb")


@situation("FIFO named .jpg", "only regular files; no hang")
def _(place: Place) -> Verdict:
    os.mkfifo(place.pictures / "train" / "cat" / "pipe.jpg")
    done = place.train()
    line = done.line("train/cat/pipe.jpg")
    return Verdict(line, done.code, done.code == 0 and bool(line))


@situation("grey, CMYK, RGBA, LA, palette", "ok; transparent pixels on white, in predict too")
def _(place: Place) -> Verdict:
    for kind in ("RGBA", "LA", "P with alpha", "CMYK", "YCCK"):
        name, content, *_ = ODD[kind]
        place.add(f"train/cat/{kind.replace(' ', '-')}{os.path.splitext(name)[1]}", content())
    place.add("train/cat/grey.png", encoded(Image.linear_gradient("L"), "PNG"))
    clear = Image.open(place.pictures / "train/dog/3.png").convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    white = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    same = predicted_alike(place, encoded(clear, "PNG"), encoded(white, "PNG"))
    done = place.train()
    line = done.line("handled", "alpha", "CMYK")
    return Verdict(line, done.code, done.code == 0 and bool(line) and same)


@situation("16-bit PNG", "scaled to 8 bit, not clipped to white")
def _(place: Place) -> Verdict:
    content = io.BytesIO()
    ramp = Image.new("I;16", (256, 256))
    ramp.putdata([index for index in range(65536)])
    ramp.save(content, "PNG")
    path = place.add("train/cat/deep.png", content.getvalue())
    values = read_picture(str(path), grey=True).histogram()
    done = place.train()
    line = done.line("16-bit")
    white = 100 * values[255] / sum(values)
    said = f"{line}; {white:.1f} % of a full ramp is white, {sum(map(bool, values))} grey levels"
    return Verdict(said, done.code, done.code == 0 and bool(line) and white < 1)


@situation("EXIF rotation", "turned upright in train and predict")
def _(place: Place) -> Verdict:
    names = [f"train/{name}/{number}.png" for name in CLASSES for number in range(4)]
    stored = {}
    for name in names:
        image = Image.open(place.pictures / name).convert("RGB")
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter clockwise
        stored[name] = encoded(image.rotate(90), "PNG", exif=exif)
        turned = ImageOps.exif_transpose(Image.open(io.BytesIO(stored[name])))
        assert turned.tobytes() == image.tobytes()
    upright = (place.pictures / names[0]).read_bytes()
    same = predicted_alike(place, stored[names[0]], upright)
    place.train(name="upright")
    for name, content in stored.items():
        place.add(name, content)
    done = place.train(name="rotated")
    ours, theirs = (load_file(place.run(name).model_path) for name in ("rotated", "upright"))
    equal = all(bool((ours[key] == theirs[key]).all()) for key in theirs)
    line = done.line("rotated")
    said = f"{line}; weights {'equal' if equal else 'unlike'} those of upright pictures"
    return Verdict(said, done.code, done.code == 0 and bool(line) and equal and same)


@situation("animated GIF and WebP", "first frame, said once; every ignored file counted and listed")
def _(place: Place) -> Verdict:
    for kind in ("GIF", "WebP", "video"):
        name, content, *_ = ODD[kind]
        place.add(f"train/cat/{name}", content())
    done = place.train()
    line = done.line("animated") or done.line("first frame")
    ignored = done.line("left out", ".mp4")
    listed = b"train/cat/a.mp4" in place.check().out
    used = place.event(DataChecked)
    all_read = used.unusable == 0 and used.train + used.test == TRAINED + 2
    return Verdict(
        f"{line} / {ignored}",
        done.code,
        done.code == 0 and bool(line) and bool(ignored) and listed and all_read,
    )


@situation("predict: a text file named .jpg", "exit 3, other files still predicted")
def _(place: Place) -> Verdict:
    text = place.add("train/cat/text.jpg", b"no picture\n")
    done = place.predict(text, place.pictures / "train/cat/0.png")
    entries = json.loads(done.out)["predictions"]
    others = [entry for entry in entries if entry["top"]]
    return Verdict(
        done.line("text.jpg", "not a picture but text"),
        done.code,
        done.code == 3 and len(others) == 1 and bool(done.line("text.jpg", "not a picture")),
    )


@situation("predict: a missing path", "one line, exit 2")
def _(place: Place) -> Verdict:
    done = place.predict(place.root / "nowhere.jpg")
    return Verdict(done.line("error"), done.code, done.code == 2 and done.is_one_line)


def predicted_alike(place: Place, *contents: bytes) -> bool:
    """Tell whether pictures are predicted with exactly the same probabilities."""
    names = [place.root / f"{number}.png" for number in range(len(contents))]
    for name, content in zip(names, contents, strict=True):
        name.write_bytes(content)
    entries = json.loads(place.predict(*names).out)["predictions"]
    return all(entry["top"] == entries[0]["top"] for entry in entries) and bool(entries[0]["top"])
