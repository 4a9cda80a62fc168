"""``shapes``: ten classes of colour pictures, drawn by seed and number at any size.

Each picture is one shape of random colour, place, size and turn on a random gradient; with rising
difficulty come noise, clutter, weak contrast and small, freely turned shapes. Picture number `n`
shows class ``n % 10`` and depends on nothing but the options and `n`.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vixtui.data.split import Labelled, Split
from vixtui.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

VERSION = 1
DEFAULT_SIDE = 32
CLASSES = (
    "arrow", "circle", "cross", "heart", "moon", "ring", "square", "star", "triangle", "wave"
)  # fmt: skip

# Numbers at which validation and test begin, so that they stay the same for any `images`.
_VALIDATION_START = 1_000_000
_TEST_START = 2_000_000
_SUPERSAMPLING = 4

Point = tuple[float, float]
Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapesOptions:
    """What follows the colon in ``shapes:difficulty=0.8,images=4000``.

    Args:
        difficulty: 0 (large, clean, upright) to 1 (small, noisy, cluttered, turned).
        images: training pictures, 100 to 1,000,000; a tenth more validate, a quarter more test.
        seed: another seed draws other pictures.
    """

    difficulty: float = 0.5
    images: int = 2000
    seed: int = 0

    @property
    def source(self) -> str:
        """The shortest text that names these options."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"shapes:{','.join(changed)}" if changed else "shapes"


def parse_options(source: str) -> ShapesOptions:
    """Read ``shapes`` or ``shapes:name=value,…``.

    Raises:
        UsageError: for an unknown option, a repeated one, or a value out of range.
    """
    _, colon, text = source.partition(":")
    values: dict[str, float] = {}
    for part in text.split(",") if colon else ():
        name, _, value = part.partition("=")
        try:
            if name in values or name not in ("difficulty", "images", "seed"):
                raise ValueError
            values[name] = float(value) if name == "difficulty" else int(value)
        except ValueError:
            raise _unusable(source) from None
    options = ShapesOptions(**values)  # type: ignore[arg-type]
    in_range = (
        0 <= options.difficulty <= 1
        and 100 <= options.images <= _VALIDATION_START
        and 0 <= options.seed < 2**32
    )
    if not in_range:
        raise _unusable(source)
    return options


def split(options: ShapesOptions) -> Split:
    """Return who trains, validates and tests: ranges of numbers, each with every class."""
    return Split(
        train=_numbered(0, options.images),
        validation=_numbered(_VALIDATION_START, options.images // 10),
        test=_numbered(_TEST_START, options.images // 4),
    )


def draw(options: ShapesOptions, index: int, *, height: int, width: int) -> Image.Image:
    """Draw picture `index` as RGB image of (height, width) pixels."""
    from PIL import Image

    rng = random.Random(f"{options.seed}:{index}")
    difficulty = options.difficulty
    colour, dark, light = _colours(rng, difficulty)
    picture = _gradient(rng, width, height, dark, light)
    for _ in range(rng.randint(0, round(4 * difficulty))):
        clutter = _mask(_moved(rng, _blob(rng), 0.05, 0.12, 180), width, height)
        picture.paste(_random_colour(rng), mask=clutter)
    name = CLASSES[index % len(CLASSES)]
    radius = 0.42 - 0.14 * difficulty
    placed = _moved(rng, _OUTLINES[name](rng), radius, radius + 0.06, 15 + 75 * difficulty)
    picture.paste(colour, mask=_mask(placed, width, height))
    noise = Image.frombytes("RGB", (width, height), rng.randbytes(3 * width * height))
    return Image.blend(picture, noise, 0.25 * difficulty)


def _numbered(start: int, count: int) -> Labelled:
    return tuple((index, index % len(CLASSES)) for index in range(start, start + count))


def _unusable(source: str) -> UsageError:
    return UsageError(
        "options of shapes not understood",
        where=source,
        remedy="difficulty=0…1, images=100…1000000, seed=0…4294967295, separated by commas",
    )


def _random_colour(rng: random.Random) -> Colour:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def _colours(rng: random.Random, difficulty: float) -> tuple[Colour, Colour, Colour]:
    """Return the shape's colour and the gradient's two, as far apart as the difficulty lets."""
    apart = 200 - 80 * difficulty
    while True:
        shape, start, end = (_random_colour(rng) for _ in range(3))
        if math.dist(shape, start) >= apart and math.dist(shape, end) >= apart:
            return shape, start, end


def _gradient(
    rng: random.Random, width: int, height: int, start: Colour, end: Colour
) -> Image.Image:
    """Return a background that runs from one colour to another in one of eight directions."""
    from PIL import Image

    ramp = Image.linear_gradient("L").rotate(rng.randrange(0, 360, 45))
    ramp = ramp.crop((38, 38, 218, 218)).resize((width, height))  # a turned square's inner one
    return Image.composite(
        Image.new("RGB", (width, height), end), Image.new("RGB", (width, height), start), ramp
    )


def _moved(
    rng: random.Random, outline: list[Point], smallest: float, largest: float, turn: float
) -> list[Point]:
    """Scale, turn (at most `turn` degrees) and place an outline of radius 1 in a unit square."""
    radius = rng.uniform(smallest, largest)
    angle = math.radians(rng.uniform(-turn, turn))
    room = max(0.0, 0.5 - radius)
    x0, y0 = 0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room)
    cos, sin = radius * math.cos(angle), radius * math.sin(angle)
    return [(x0 + x * cos - y * sin, y0 + x * sin + y * cos) for x, y in outline]


def _mask(outline: list[Point], width: int, height: int) -> Image.Image:
    """Return an outline in a unit square filled, with smooth edges, as large as it fits."""
    from PIL import Image, ImageDraw

    side = _SUPERSAMPLING * min(width, height)
    left = (_SUPERSAMPLING * width - side) / 2
    top = (_SUPERSAMPLING * height - side) / 2
    large = Image.new("L", (_SUPERSAMPLING * width, _SUPERSAMPLING * height))
    ImageDraw.Draw(large).polygon([(left + x * side, top + y * side) for x, y in outline], fill=255)
    return large.reduce(_SUPERSAMPLING)


def _arc(start: float, end: float, radius: float = 1.0, centre: float = 0.0) -> list[Point]:
    """Return 25 points on a circle around (centre, 0), angles in turns."""
    angles = [math.tau * (start + (end - start) * step / 24) for step in range(25)]
    return [(centre + radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _blob(rng: random.Random) -> list[Point]:
    return [
        (math.cos(math.tau * step / 7) * size, math.sin(math.tau * step / 7) * size)
        for step, size in enumerate(rng.uniform(0.5, 1) for _ in range(7))
    ]


def _star(rng: random.Random) -> list[Point]:
    inner = rng.uniform(0.38, 0.48)
    radii = [1.0, inner] * 5
    angles = [math.tau * (step / 10 - 0.25) for step in range(10)]
    return [(r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]


def _cross(rng: random.Random) -> list[Point]:
    a = rng.uniform(0.22, 0.34)
    corner = [(a, a), (a, 0.95), (-a, 0.95)]
    return [turned for k in range(4) for turned in _quarter_turns(corner, k)]


def _quarter_turns(points: list[Point], count: int) -> list[Point]:
    for _ in range(count):
        points = [(-y, x) for x, y in points]
    return points


def _heart(_: random.Random) -> list[Point]:
    angles = [math.tau * step / 48 for step in range(48)]
    return [
        (
            math.sin(a) ** 3,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
        )
        for a in angles
    ]


def _moon(rng: random.Random) -> list[Point]:
    bite = rng.uniform(0.35, 0.5)
    tip = math.acos(bite) / math.tau
    return _arc(tip, 1 - tip) + _arc(0.75, 0.25, math.sqrt(1 - bite**2), bite)


def _wave(rng: random.Random) -> list[Point]:
    thickness, height = rng.uniform(0.15, 0.22), rng.uniform(0.3, 0.45)
    xs = [step / 16 - 1 for step in range(33)]
    ridge = [(x, height * math.sin(math.tau * x)) for x in xs]
    upper = [(x, y - thickness) for x, y in ridge]
    return upper + [(x, y + thickness) for x, y in reversed(ridge)]


_OUTLINES = {
    "arrow": lambda rng: [
        (1.0, 0.0), (0.1, -0.8), (0.1, -0.3), (-1.0, -0.3), (-1.0, 0.3), (0.1, 0.3), (0.1, 0.8)
    ],
    "circle": lambda rng: _arc(0, 1),
    "cross": _cross,
    "heart": _heart,
    "moon": _moon,
    "ring": lambda rng: _arc(0, 1) + _arc(1, 0, rng.uniform(0.5, 0.65)),
    "square": lambda rng: [(0.75, 0.75), (-0.75, 0.75), (-0.75, -0.75), (0.75, -0.75)],
    "star": _star,
    "triangle": lambda rng: [(0.0, -1.0), (0.87, 0.5), (-0.87, 0.5)],
    "wave": _wave,
}  # fmt: skip
