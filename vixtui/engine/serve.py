"""Questions over a pipe: one JSON object a line in, JSON objects out, the last a result or error.

The model of the last question stays loaded, so that the next picture takes milliseconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from vixtui.data.decode import decode
from vixtui.data.folder import DRAWN
from vixtui.data.silence import end_when_silent
from vixtui.data.sources import DataSource, open_source
from vixtui.data.split import Item, Labelled, Split
from vixtui.data.store import open_store
from vixtui.data.tensors import Pictures, load_pictures
from vixtui.engine import evaluate
from vixtui.engine.device import out_of_memory
from vixtui.engine.inputs import Normalise
from vixtui.engine.intake import usable
from vixtui.engine.weights import load_weights
from vixtui.errors import DataError, DoesNotFitError, UsageError, VixtuiError
from vixtui.hardware.host import usable_cores
from vixtui.memory.execution import Backend
from vixtui.memory.figures import execution_name
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import VisionXFormer
from vixtui.runs.config import DataConfig
from vixtui.runs.directory import RunDirectory
from vixtui.runs.weights import ModelCard

_BATCH = 256


class Server:
    """Answers questions, one at a time.

    Args:
        tell: sends one JSON object to whoever asked.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._loaded: tuple[tuple[str, int], VisionXFormer, ModelCard] | None = None

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a question.

        Raises:
            VixtuiError: when it cannot be answered.
        """
        arguments = dict(question)
        match arguments.pop("ask"):
            case "predict":
                return self._predict(**arguments)
            case "evaluate":
                return self._evaluate(**arguments)
            case "download":
                return self._download(**arguments)
            case "bench":
                return self._bench(**arguments)
            case "trace":
                return self._trace(**arguments)
            case other:
                raise UsageError(f"unknown question: {other}")

    def _predict(self, model: str, paths: list[str], top: int = 5) -> dict[str, Any]:
        network, card = self._model(Path(model))
        normalise = Normalise(card.preprocessing, torch.device("cpu"))
        predictions, started = [], time.perf_counter()
        for index, path in enumerate(paths, start=1):
            prediction = _predict_one(network, card, normalise, path, top)
            predictions.append(prediction)
            self._progress(done=index, total=len(paths), prediction=prediction)
        return {
            "predictions": predictions,
            "model": {
                "title": card.title,
                "classes": list(card.classes),
                "image_height": card.model.image_height,
                "image_width": card.model.image_width,
                "in_channels": card.model.in_channels,
                "metrics": card.metrics,
            },
            "seconds_per_image": (time.perf_counter() - started) / max(1, len(paths)),
        }

    def _evaluate(
        self,
        model: str,
        source: str | None = None,
        run: str | None = None,
        split: str | None = None,
        cache: bool | None = None,
    ) -> dict[str, Any]:
        """Answer how good a model is; `cache` is None for what its run does with decoded ones."""
        network, card = self._model(Path(model))
        asked = _asked(card, source, run, split, self._warn)
        if not asked.items:
            raise DataError(
                f"no {asked.part} pictures",
                where=asked.data.source,
                remedy="choose another --split",
            )
        pictures = self._pictures(asked, use_cache=asked.cache if cache is None else cache)
        logits, speed = evaluate.timed_logits(
            network,
            pictures.images,
            Normalise(card.preprocessing, torch.device("cpu")),
            batch_size=_BATCH,
            on_progress=lambda done, total: self._progress(done=done, total=total),
        )
        result = evaluate.report(
            logits, pictures, classes=card.classes, source=asked.data.source, split=asked.part
        )
        return result | {
            "images_per_second": speed,
            "model": Path(run).name if run else model,
            "unusable": len(asked.items) - len(pictures.labels),
        }

    def _pictures(self, asked: _Asked, *, use_cache: bool) -> Pictures:
        """Return the pictures that can be used: from the cache, or decoded into memory."""
        if not use_cache:
            return load_pictures(
                asked.data, asked.items, on_unusable=self._warn, threads=usable_cores()
            )
        store = open_store(
            asked.data,
            [item for item, _ in asked.items],
            threads=usable_cores(),
            use_cache=True,
            warn=self._warn,
            within=asked.every,
        )
        for item, _ in asked.items:
            if isinstance(known := store.known[item], DataError):
                self._warn(known.message)
        pictures = usable(asked.items, store)
        if not len(pictures.labels):
            raise DataError("no picture can be used", where=asked.data.source)
        return pictures

    def _download(self, name: str) -> dict[str, Any]:
        from vixtui.data.download import download

        folder = download(
            name,
            on_progress=lambda done, total, message: self._progress(
                done=done, total=total, message=message
            ),
        )
        return {"path": str(folder)}

    def _trace(self, model: dict[str, Any], backend: Backend) -> dict[str, Any]:
        from vixtui.memory.generate import model_figures

        found = model_figures(ModelConfig.from_dict(model), backend)
        return {"steps": {execution_name(way): astuple(step) for way, step in found.items()}}

    def _bench(self, seconds: float) -> dict[str, Any]:
        from vixtui.engine.bench import measure_rates

        rates = measure_rates(usable_cores(), seconds)
        return {"torch": torch.__version__, "rates": [asdict(way) for way in rates]}

    def _model(self, path: Path) -> tuple[VisionXFormer, ModelCard]:
        try:
            key = (str(path), path.stat().st_mtime_ns)
        except OSError as error:
            raise UsageError("no such file", where=path) from error
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = (key, *load_weights(path))
        return self._loaded[1:]

    def _warn(self, message: str) -> None:
        self._progress(warning=message)

    def _progress(self, **values: object) -> None:
        self._tell({"type": "progress", **values})


def serve() -> int:
    """Answer questions from standard input until it ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr
    server = Server(lambda message: _send(out, message))
    end_when_silent(lambda error: _send(out, _error(error)))
    for question in _questions(sys.stdin):
        try:
            _send(out, {"type": "result", **server.answer(question)})
        except Exception as error:
            _send(out, _error(error))
    return 0


def _questions(stream: TextIO) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)


def _send(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _error(error: Exception) -> dict[str, Any]:
    if out_of_memory(error):
        error = DoesNotFitError("memory ran out", remedy="close other programs")
    if not isinstance(error, VixtuiError):
        traceback.print_exc()
        error = VixtuiError(f"unexpected {type(error).__name__}: {error}")
    return {
        "type": "error",
        "what": error.what,
        "where": error.where,
        "remedy": error.remedy,
        "exit_code": int(error.exit_code),
    }


@torch.inference_mode()
def _predict_one(
    model: VisionXFormer, card: ModelCard, normalise: Normalise, path: str, top: int
) -> dict[str, Any]:
    try:
        image = decode(
            Path(path),
            height=card.model.image_height,
            width=card.model.image_width,
            channels=card.model.in_channels,
        )
    except VixtuiError as error:
        return {"path": path, "top": [], "error": error.message}
    probabilities = model(normalise.pixels(image[None])).float().softmax(1)[0]
    best = probabilities.topk(min(max(1, top), len(card.classes)))
    return {
        "path": path,
        "top": [
            {"class": card.classes[index], "probability": value}
            for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ],
        "error": None,
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a model is evaluated on.

    Args:
        data: where the pictures come from.
        items: the pictures, with the model's labels.
        part: which part of the split they are.
        every: the pictures of all parts, which a training caches together.
        cache: whether decoded pictures are kept unless said otherwise.
    """

    data: DataConfig
    items: Labelled
    part: str
    every: tuple[Item, ...]
    cache: bool


def _asked(
    card: ModelCard,
    source: str | None,
    run: str | None,
    split: str | None,
    warn: Callable[[str], None],
) -> _Asked:
    """Return the pictures to evaluate on.

    A run's own data keep the run's split, so that no training picture counts as a test. Of other
    data the test part is taken if there is one, else everything.
    """
    found = open_source(source) if source is not None else None
    if run is not None:
        directory = RunDirectory(Path(run))
        config = directory.config()
        if found is None or found.source == config.data.source:
            whole, part = Split.from_json(directory.split_path.read_bytes()), split or "test"
            items = _part(whole, part)
            return _Asked(config.data, items, part, _every(whole), config.plan.cache)
    if found is None:
        raise UsageError("nothing to evaluate on", where="--data", remedy="name a folder")
    for note in found.notes:
        # A part that is not asked for by name is never a drawn one.
        if split is not None or DRAWN not in note:
            warn(note)
    part = split or ("test" if found.has_test else "all")
    items = _relabelled(found, _part(found.split, part), card.classes, warn)
    data = DataConfig(
        source=found.source,
        classes=card.classes,
        image_height=card.model.image_height,
        image_width=card.model.image_width,
        in_channels=card.model.in_channels,
        fingerprint=found.fingerprint,
        train=0,
        validation=0,
        test=len(items),
    )
    return _Asked(data, items, part, _every(found.split), cache=True)


def _every(split: Split) -> tuple[Item, ...]:
    return tuple(item for item, _ in _part(split, "all"))


def _relabelled(
    found: DataSource, items: Labelled, classes: tuple[str, ...], warn: Callable[[str], None]
) -> Labelled:
    """Return pictures with a model's labels; classes are matched by name."""
    known = {name: label for label, name in enumerate(classes)}
    kept = tuple(
        (item, known[found.classes[label]])
        for item, label in items
        if found.classes[label] in known
    )
    if items and not kept:
        raise DataError(
            "the model knows none of these classes",
            where=found.source,
            remedy=f"it knows {', '.join(classes[:5])}",
        )
    if unknown := len(items) - len(kept):
        warn(f"{unknown:,} pictures of classes that the model does not know: left out")
    return kept


def _part(split: Split, name: str) -> Labelled:
    if name == "all":
        return split.train + split.validation + split.test
    if name not in ("train", "validation", "test"):
        raise UsageError(f"no split of this name: {name}", remedy="test, validation, train or all")
    part: Labelled = getattr(split, name)
    return part
