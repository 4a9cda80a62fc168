"""Traces of models that ship without figures, by an engine that is asked for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from vixtui.cli import narrate
from vixtui.cli.models import warm_engine
from vixtui.errors import VixtuiError
from vixtui.memory.execution import Backend, Execution
from vixtui.memory.figures import StepFigures
from vixtui.models.config import ModelConfig
from vixtui.planning.traced import Trace, read_trace
from vixtui.runs.process import Engine


@contextmanager
def tracing() -> Iterator[Trace]:
    """Yield what traces a step of a model, a few seconds each; the engine starts with the first."""
    engines: list[Engine] = []
    with ExitStack() as open_engines:

        def trace(model: ModelConfig, backend: Backend) -> Mapping[Execution, StepFigures]:
            if not engines:
                narrate.note("memory: tracing a step of the changed model")
                engines.append(open_engines.enter_context(warm_engine()))
            reply = engines[0].ask("trace", model=model.to_dict(), backend=backend)
            try:
                return read_trace(reply)
            except ValueError as error:
                raise VixtuiError("the engine's answer is incomplete") from error

        yield trace
