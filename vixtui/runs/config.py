"""``run.toml``: the whole resolved decision of a run, enough to start it again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from vixtui.errors import UsageError
from vixtui.files import write_atomically
from vixtui.models.config import ModelConfig, Recompute
from vixtui.paths import command
from vixtui.runs.bounds import check_size

SCHEMA_VERSION = 1
_MAX_BYTES = 20_000_000  # 10,000 classes with long names fit
_HEAD_BYTES = 4096

Precision = Literal["auto", "fp32", "bf16"]
Augmentation = Literal["off", "light", "strong"]
Balance = Literal["off", "loss", "sampling"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Which pictures, and how they become tensors.

    Args:
        source: name of a built-in set (``digits``, ``shapes``) or absolute path of a folder.
        classes: class names in label order.
        image_height, image_width, in_channels: what the model sees.
        fingerprint: changes when the set of pictures changes.
        train, validation, test: number of pictures in each split.
        horizontal_flip: whether a mirrored picture keeps its class (not so for digits).
        fold, folds: which part of a cross-validation is tested, from 1; 0 without one.
    """

    source: str
    classes: tuple[str, ...]
    image_height: int
    image_width: int
    in_channels: int
    fingerprint: str
    train: int
    validation: int
    test: int
    horizontal_flip: bool = True
    fold: int = 0
    folds: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the model learns.

    Args:
        epochs: passes over the training pictures, or None when `seconds` limits the run.
        seconds: wall time of the training, from engine start to the last saved weights.
        batch_size: effective batch: pictures a weight update.
        lr: peak learning rate of AdamW, reached after warm-up, then cosine to zero.
        find_lr: replace it by one found in a short sweep before the first update.
        weight_decay: decoupled; not on biases, norms and positions.
        warmup: fraction of the schedule with rising rate.
        label_smoothing: probability mass given to the other classes.
        grad_clip: largest gradient norm; 0 switches clipping off.
        ema: decay a step of the averaged weights that are evaluated and saved; 0 is off.
        crop: random shift, as a fraction of the side.
        color_jitter: largest relative change of brightness, contrast and saturation.
        erase: side of an erased random square, as a fraction of the picture's side.
        trivial: probability of one random operation on a picture (TrivialAugment).
        mixup, cutmix: probability that a picture is blended with another, or gets a box of it.
        mix_until: fraction of the run after which no picture is mixed: it ends on whole ones.
        fewest_mixed_epochs: a run of fewer mixes no pictures; limited by time, while the engine
            expects fewer.
        balance: what makes up for classes of different size: ``loss`` weighs each by its rarity,
            ``sampling`` shows all equally often.
        patience: stop after so many epochs without a validation top-1 better by more than its
            standard error; 0 is never.
        redraw_features: draw Performer's random features anew every so many steps; 0 is never.

    Raises:
        ValueError: without a limit, with two, when one of the first four is not positive, or
            `mixup` and `cutmix` are no probabilities of exclusive events.
    """

    epochs: int | None = None
    seconds: float | None = None
    batch_size: int = 64
    lr: float = 2e-3
    find_lr: bool = False
    weight_decay: float = 0.05
    warmup: float = 0.05
    label_smoothing: float = 0.1
    grad_clip: float = 1.0
    ema: float = 0.995
    crop: float = 0.125
    color_jitter: float = 0.2
    erase: float = 0.25
    trivial: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_until: float = 0.9
    fewest_mixed_epochs: int = 0
    balance: Balance = "off"
    patience: int = 0
    redraw_features: int = 0

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.seconds is None):
            raise ValueError("a recipe is limited either by epochs or by seconds")
        _check_positive(self, "epochs", "seconds", "batch_size", "lr")
        if min(self.mixup, self.cutmix) < 0 or not self.mixup + self.cutmix <= 1:
            raise ValueError("mixup and cutmix must be probabilities that add up to at most 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How the run fits the machine.

    Args:
        device: ``cpu``, ``cuda:<uuid>``, ``rocm:<index>``, ``xpu:<index>``, ``mps``.
        micro_batch: pictures a forward pass; gradients accumulate up to the recipe's batch size.
        precision: ``auto`` lets the engine measure.
        threads: CPU threads; 0 lets the engine measure.
        recompute: what a step computes twice to need less memory.
        budget_bytes: memory a process may use.
        predicted_peak_bytes: of a process, before earlier runs corrected it; `basis` says how.
        corrected_peak_bytes: after that; 0 when none did.
        nproc: processes on this machine that share every batch.
        cache: whether decoded pictures are kept on disk, else they are decoded anew each epoch.

    Raises:
        ValueError: when no picture is left in a micro-batch, or there is no process.
    """

    device: str
    micro_batch: int
    precision: Precision = "auto"
    threads: int = 0
    recompute: Recompute = "none"
    budget_bytes: int
    predicted_peak_bytes: int
    corrected_peak_bytes: int = 0
    basis: str
    nproc: int = 1
    cache: bool = True

    def __post_init__(self) -> None:
        _check_positive(self, "micro_batch", "nproc")

    @property
    def expected_peak_bytes(self) -> int:
        """The last word of planning on the peak."""
        return self.corrected_peak_bytes or self.predicted_peak_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Init:
    """The weights that a run begins with instead of random ones.

    Args:
        file, sha256: absolute path and content of the weights file; needed until the first state.
        title: preset that it was trained from.
        kept_classes: classes whose rows of the head are taken over.
        mean, std: its normalisation, a number a channel, which the run keeps.
    """

    file: str
    sha256: str
    title: str
    kept_classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Everything that defines a run; `init` only if it is fine-tuned.

    Args:
        number: more than that of every run made before; 0 until the run is made.
    """

    id: str
    created: str
    vixtui: str
    preset: str
    seed: int
    model: ModelConfig
    data: DataConfig
    recipe: Recipe
    plan: Plan
    init: Init | None = None
    number: int = 0
    schema_version: int = SCHEMA_VERSION


def write_config(path: Path, config: RunConfig) -> None:
    """Write ``run.toml``; absent entries are left out."""
    import tomli_w

    table = asdict(config)
    # A path may hold bytes that are no UTF-8; they are kept as they are.
    write_atomically(path, tomli_w.dumps(_without_none(table)).encode("utf-8", "surrogateescape"))


def read_config(path: Path) -> RunConfig:
    """Read ``run.toml``.

    Raises:
        UsageError: when it is missing, damaged or of a newer schema.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        table = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError, RecursionError) as error:
        remedy = f"see '{command('runs', 'list')}'"
        raise UsageError("no readable run.toml", where=path, remedy=remedy) from error
    if table.get("schema_version") != SCHEMA_VERSION:
        raise UsageError("run.toml has another schema", where=path, remedy="update vixtui")
    try:
        model = ModelConfig.from_dict(_table(table, "model"))
        check_size(model)
        data = _read(DataConfig, _table(table, "data"))
        init = _read(Init, _table(table, "init")) if "init" in table else None
        if init and not len(init.mean) == len(init.std) == data.in_channels:
            raise ValueError("mean and std need a number a channel")
        return RunConfig(
            **{
                **_scalars(RunConfig, table),
                "model": model,
                "data": data,
                "recipe": _read(Recipe, _table(table, "recipe")),
                "plan": _read(Plan, _table(table, "plan")),
                "init": init,
            }
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"run.toml is damaged: {error}", where=path) from error


def pictures_an_update(batch_size: int, images: int, processes: int) -> int:
    """Return how many pictures an update takes, of all processes together.

    Args:
        batch_size: of the recipe.
        images: training pictures.
        processes: of all machines.

    Raises:
        UsageError: when there is not one for each.
    """
    pictures = min(batch_size, images)
    if pictures < processes:
        raise UsageError(
            f"{pictures} pictures an update are too few for {processes} processes",
            where="--nproc",
            remedy="choose a smaller --nproc or a larger --batch-size",
        )
    return pictures


def read_order(path: Path) -> tuple[int, str]:
    """Return a run's number and when it was made, from the first lines of ``run.toml`` alone.

    A missing or damaged file comes before all others.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "surrogateescape")
        table = _scalars(RunConfig, tomllib.loads(head.partition("\n[")[0]))
    except (OSError, ValueError, RecursionError):
        return 0, ""
    return table.get("number", 0), table["created"]


_T = TypeVar("_T")


def _read(kind: type[_T], table: dict[str, Any]) -> _T:
    return kind(**_scalars(kind, table))


def _scalars(kind: type, table: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of `table` that `kind` declares, lists as tuples, types checked."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name not in table:
            if field.default is MISSING and field.type not in _NESTED:
                raise ValueError(f"{field.name} is missing")
            continue
        value = table[field.name]
        if choices := _CHOICES.get(str(field.type)):
            if value not in choices:
                raise ValueError(f"{field.name} must be one of {', '.join(choices)}")
        elif not _fits(value, str(field.type)):
            raise ValueError(f"{field.name} must be {field.type}")
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return values


def _fits(value: Any, wanted: str) -> bool:
    if wanted in _NESTED:
        return True
    if wanted.startswith("tuple["):
        kind = wanted.removeprefix("tuple[").removesuffix(", ...]")
        return isinstance(value, list) and all(_fits(entry, kind) for entry in value)
    kind = _TOML_TYPES[wanted]
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"[{name}] is missing")
    return value


_NESTED = {"ModelConfig", "DataConfig", "Recipe", "Plan", "Init | None"}
_TOML_TYPES: dict[str, Any] = {
    "str": str, "int": int, "float": (int, float), "bool": bool,
    "int | None": int, "float | None": (int, float),
}  # fmt: skip
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "Precision": get_args(Precision),
    "Recompute": get_args(Recompute),
    "Balance": get_args(Balance),
}


def _check_positive(values: Recipe | Plan, *names: str) -> None:
    for name in names:
        value = getattr(values, name)
        if value is not None and not 0 < value < inf:
            raise ValueError(f"{name} must be more than 0, not {value}")


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    return list(value) if isinstance(value, tuple) else value
