"""One training step on tensors without memory: every allocation is seen, none is made.

A step is what the engine does (`vixtui.engine.learner`): pictures come in as bytes, are changed and
normalised; forward, cross entropy, backward, for each micro-batch; gradient clipping, AdamW and the
averaged weights; now and then a forward pass of evaluation in single precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vixtui.data.augment import augment, draw
from vixtui.data.mix import draw_mix, mix
from vixtui.memory.allocator import Allocate, Event, Free
from vixtui.memory.emulation import Emulation
from vixtui.memory.execution import EVALUATION_FACTOR, Backend, Execution
from vixtui.memory.linear import BATCH, NOTHING, Linear
from vixtui.memory.tape import EDGE, WORKSPACE, Mark, Tape, Work
from vixtui.models import blocks
from vixtui.models.blocks import Block
from vixtui.models.config import ModelConfig
from vixtui.models.mixers.performer import Performer
from vixtui.models.vision_xformer import VisionXFormer, build
from vixtui.runs.config import Recipe

# How pictures are changed matters little; the strongest changes depend on what is drawn.
_RECIPE = Recipe(epochs=1)
_DRAWS, _MIX_DRAWS = (make(1, torch.Generator()).shape[1] for make in (draw, draw_mix))
_FLOAT_BYTES = 4
# Numbers of first blocks, so that those of different parts differ.
_LEARNING, _EVALUATING = 10**6, 2 * 10**6


@dataclass(frozen=True, slots=True)
class Training:
    """What the parts of a training ask of the allocator.

    Args:
        setup: weights, averages and moments, made once.
        inputs, learning: of a micro-batch.
        gradients: (position in `learning`, block) of each gradient that is finished there.
        updating: what follows the last micro-batch.
        evaluation: of as many pictures as the engine evaluates at once.
    """

    setup: tuple[Mark, ...]
    inputs: tuple[Mark, ...]
    learning: tuple[Mark, ...]
    gradients: tuple[tuple[int, int], ...]
    updating: tuple[Mark, ...]
    evaluation: tuple[Mark, ...]

    def marks(self, first: Training, *, accumulate: bool) -> tuple[Mark, ...]:
        """Return two steps, an evaluation and a step, after a gradient that is forgotten.

        Args:
            first: with which that gradient is computed.
            accumulate: two micro-batches a step, between which gradients stay.
        """
        replay = _Replay()
        replay.play(self.setup)
        replay.play(first.inputs)
        replay.play(first.learning)
        replay.play(mark for mark in first.updating if mark[0] in replay.names)
        for step in range(3):
            replay.play(self.inputs)
            replay.play(self.learning)
            if accumulate:
                self._once_more(replay)
            replay.play(self.updating)
            if step == 1:
                replay.play(self.evaluation)
        return tuple(replay.marks)

    def _once_more(self, replay: _Replay) -> None:
        """Another micro-batch: its gradients are added up and let go of."""
        kept = {block: replay.names.pop(block) for _, block in self.gradients}
        earlier = [
            replay.names.pop(block)
            for block, size in (*self.inputs, *self.learning)
            if size is not None and block in replay.names and block != WORKSPACE
        ]
        replay.play(self.inputs)
        replay.marks += ((name, None) for name in earlier)
        start = 0
        for position, block in self.gradients:
            replay.play(self.learning[start:position])
            replay.free(block)
            start = position
        replay.play(self.learning[start:])
        replay.names |= kept


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one step does, for any micro-batch.

    Args:
        parameters: number of weights.
        one: training with a picture at a time, some of whose tensors need not be copied.
        many: training with any number.
        work: of a micro-batch.
        update_work: of what follows the last one.
    """

    parameters: int
    one: Training
    many: Training
    work: Work
    update_work: Work

    def script(self, *, accumulate: bool = False) -> Script:
        """Return what training asks of the allocator.

        Before the first step the engine tries one picture.

        Args:
            accumulate: two micro-batches a step, between which gradients stay.
        """
        return Script(
            *(part.marks(self.one, accumulate=accumulate) for part in (self.one, self.many))
        )


@dataclass(frozen=True, slots=True)
class Script:
    """What a training asks of the allocator, with one picture at a time, and with any number."""

    one: tuple[Mark, ...]
    many: tuple[Mark, ...]

    def events(self, micro_batch: int) -> list[Event]:
        """Return it for micro-batches of so many pictures."""
        return [
            Free(name) if size is None else Allocate(name, size.at(micro_batch))
            for name, size in (self.one if micro_batch == 1 else self.many)
            if name != EDGE
        ]

    def peaks(self, micro_batches: Iterable[int], *, block: int = 1) -> list[int]:
        """Return the most that is allocated at once, for each size, in blocks of so many bytes."""
        return list(map(max, self.peaks_apart(micro_batches, block=block)))

    def peaks_apart(self, micro_batches: Iterable[int], *, block: int = 1) -> list[tuple[int, int]]:
        """Return the same while there are tokens, and while there are pictures alone."""
        one, many = _Sizes(self.one), _Sizes(self.many)
        return [(one if batch == 1 else many).peaks(batch, block) for batch in micro_batches]


class _Sizes:
    """The sizes of marks, as tensors."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        places: dict[int, int] = {}
        of: list[int] = []
        sign, among_tokens, within = [], [], False
        for name, size in marks:
            if name == EDGE:
                within = not within
                continue
            if size is not None:
                places[name] = len(of)
            of.append(places[name])
            sign.append(-1 if size is None else 1)
            among_tokens.append(within)
        marks = [mark for mark in marks if mark[0] != EDGE]
        sizes = [size for _, size in marks]
        known = [size if isinstance(size, Linear) else NOTHING for size in sizes]
        self._fixed = torch.tensor([size.fixed for size in known])
        self._each = torch.tensor([size.each for size in known])
        self._of, self._sign = torch.tensor(of), torch.tensor(sign)
        self._among_tokens = torch.tensor(among_tokens)
        self._buffers = [
            (place, size)
            for place, size in enumerate(sizes)
            if size is not None and not isinstance(size, Linear)
        ]

    def peaks(self, batch: int, block: int) -> tuple[int, int]:
        """Return the most that is allocated at once among tokens, and elsewhere."""
        taken = self._fixed + self._each * batch
        for place, size in self._buffers:
            taken[place] = size.at(batch)
        taken = (taken + block - 1) // block * block
        live = (taken[self._of] * self._sign).cumsum(0)
        tokens, others = live * self._among_tokens, live * ~self._among_tokens
        return int(tokens.max()), int(others.max())


class _Replay:
    """Joins marks: every block gets a name of its own each time it is allocated."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self.names: dict[int, int] = {}

    def play(self, marks: Iterable[Mark]) -> None:
        for block, size in marks:
            if block == EDGE:
                self.marks.append((EDGE, None))
            elif size is None:
                self.free(block)
            elif block != WORKSPACE or block not in self.names:
                self.names[block] = name = len(self.marks)
                self.marks.append((name, size))

    def free(self, block: int) -> None:
        self.marks.append((self.names.pop(block), None))


def trace_step(
    model: nn.Module, execution: Execution, *, channels: int, height: int, width: int
) -> StepTrace:
    """Trace a training step of a model, with optimizer state, and an evaluation.

    Args:
        model: on the meta device, so that it takes no memory.
        execution: how it is computed; recomputing is the model's affair.
        channels, height, width: shape of a picture, sizes in pixels.
    """
    shape = channels, height, width
    many, work, update_work = _trace(model, execution, BATCH, *shape)
    # On the CPU the first picture leaves nothing behind.
    one = _trace(model, execution, 1, *shape)[0] if execution.backend == "cuda" else many
    return StepTrace(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        one=one,
        many=many,
        work=work,
        update_work=update_work,
    )


def _trace(
    model: nn.Module, execution: Execution, batch: int, *shape: int
) -> tuple[Training, Work, Work]:
    """Trace a training; return it, and the work of a micro-batch and of an update."""
    backend, channels = execution.backend, shape[0]
    evaluation, classes = _evaluation(model, backend, batch, *shape)
    parameters: list[Tensor] = list(model.parameters())
    tape = Tape(backend, first=_LEARNING)
    emulation = Emulation(tape, backend)
    _set_up(tape, model, channels)
    setup, _ = tape.cut()
    gradients: list[tuple[int, int]] = []
    hooks = [
        parameter.register_post_accumulate_grad_hook(
            lambda one: gradients.append((len(tape.marks), tape.block_of(one.grad)))
        )
        for parameter in parameters
    ]
    before, preparing, blocks_kept = _inputs(backend, classes, batch, *shape)
    inputs, target, loss_sum, correct = (
        torch.empty(size, device="meta") for size in ((batch, *shape), (batch, classes), (), ())
    )
    for tensor, block in zip((inputs, target, loss_sum, correct), blocks_kept, strict=True):
        tape.adopt(tensor, block)
    with _quiet_checkpoints(), _edges(model, tape), tape, emulation:
        with torch.autocast(
            emulation.device_type, dtype=torch.bfloat16, enabled=execution.precision == "bf16"
        ):
            answers = target.argmax(1)
            logits = model.train()(inputs)
        loss = F.cross_entropy(logits.float(), target, reduction="sum", label_smoothing=0.1)
        tape.adds_in_place = True
        _backward(loss / batch)
        tape.adds_in_place = False
        loss_sum += loss.detach()
        correct += (logits.argmax(1) == answers).sum()
        learning, work = tape.cut()
        del inputs, target, logits, answers, loss, loss_sum, correct, tensor
        _update(parameters)
        updating, update_work = tape.cut()
    for hook in hooks:
        hook.remove()
    training = Training(setup, before, learning, tuple(gradients), updating, evaluation)
    return training, preparing + work, update_work


@contextmanager
def _edges(model: nn.Module, tape: Tape) -> Iterator[bool]:
    """Mark where pictures become tokens, and where their gradient does; yield whether they do."""

    def mark(_: nn.Module, __: object, tokens: Tensor) -> None:
        tape.mark_edge()
        if tokens.requires_grad:
            tokens.register_hook(lambda _: tape.mark_edge())

    embeds = isinstance(model, VisionXFormer)
    hook = model.get_submodule("stages.0.embedding").register_forward_hook(mark) if embeds else None
    try:
        yield embeds
    finally:
        if hook is not None:
            hook.remove()


@lru_cache(maxsize=8)
def _inputs(
    backend: Backend, classes: int, batch: int, channels: int, height: int, width: int
) -> tuple[tuple[Mark, ...], Work, tuple[int, ...]]:
    """Return the making of a micro-batch, and the blocks that it leaves behind.

    These are the pictures, what the model should say, the sum of losses and the correct answers.
    """
    tape = Tape(backend)
    shape = batch + 1, channels, height, width
    mean = torch.empty(channels, 1, 1, device="meta")
    with tape, Emulation(tape, backend):
        loss_sum, correct = torch.zeros((), device="meta"), torch.zeros((), device="meta")
        kept = *_examples(shape, classes, mean, on_gpu=backend == "cuda"), loss_sum, correct
        marks, work = tape.cut()
        return marks, work, tuple(map(tape.block_of, kept))


@lru_cache(maxsize=8)
def _evaluation(
    model: nn.Module, backend: Backend, batch: int, channels: int, height: int, width: int
) -> tuple[tuple[Mark, ...], int]:
    """Return a forward pass without gradient, always in single precision, and the classes."""
    tape = Tape(backend, first=_EVALUATING)
    for tensor in (*model.parameters(), *model.buffers()):
        tape.see(tensor)
    tape.cut()
    shape = EVALUATION_FACTOR[backend] * batch, channels, height, width
    mean = torch.empty(channels, 1, 1, device="meta")
    # Products that no gradient is asked of do not copy their factors; averages ask for none.
    model.requires_grad_(False)
    with torch.no_grad(), _edges(model, tape) as embedded, tape, Emulation(tape, backend):
        # In one expression: nothing but the model holds what it is given.
        logits = model.eval()(
            _normalise(torch.empty(shape, dtype=torch.uint8, device="meta").float().div_(255), mean)
        )
        classes = logits.shape[1]
        del logits
        if embedded:
            tape.mark_edge()
    model.requires_grad_(True)
    return tape.cut()[0], classes


def _examples(
    shape: tuple[int, ...], classes: int, mean: Tensor, *, on_gpu: bool
) -> tuple[Tensor, Tensor]:
    """Return changed pictures, mixed with their neighbours and normalised, and their targets.

    Args:
        shape: of a micro-batch and the picture before it, (b + 1, c, h, w).
        classes: how many there are.
        mean: of a channel, (c, 1, 1).
        on_gpu: whether they come from elsewhere.
    """
    new = partial(torch.empty, device="meta")
    # On a GPU augmentation alone holds the bytes; on a CPU they are held until it is done.
    held = None if on_gpu else new(shape, dtype=torch.uint8)
    augmented = augment(
        new(shape, dtype=torch.uint8) if held is None else held,
        draws=new(shape[0], _DRAWS),
        crop=_RECIPE.crop,
        horizontal_flip=True,
        color_jitter=_RECIPE.color_jitter,
        erase=_RECIPE.erase,
    )
    del held
    draws = new(shape[0] - 1, _MIX_DRAWS)
    pictures, own = mix(augmented[1:], augmented[:-1], draws=draws, mixup=0.0, cutmix=0.5)
    shares = new(shape[0], classes)
    return _normalise(pictures, mean), torch.lerp(shares[:-1], shares[1:], own[:, None])


def _set_up(tape: Tape, model: nn.Module, channels: int) -> None:
    """Record what lives as long as the engine."""
    for _ in ("mean", "standard deviation"):
        tape.hold(channels * _FLOAT_BYTES)
    for tensor in _moved_tensors(model):
        tape.see(tensor)
    for module in model.modules():  # the averaged copy
        for tensor in _own_tensors(module):
            tape.hold(tensor.untyped_storage().nbytes())
    for parameter in model.parameters():
        moment = parameter.untyped_storage().nbytes()
        for size in (_FLOAT_BYTES, moment, moment):
            tape.hold(size)


def _moved_tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield weights and buffers in the order in which ``module.to(device)`` moves them."""
    for child in module.children():
        yield from _moved_tensors(child)
    yield from _own_tensors(module)


def _own_tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)


def _normalise(values: Tensor, mean: Tensor) -> Tensor:
    return values.sub_(mean).div_(mean)


def _backward(loss: Tensor) -> None:
    """``loss.backward()``, during which tensors still are the backend's."""
    torch.autograd.Variable._execution_engine.run_backward(
        (loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True,
        accumulate_grad=True,
    )  # fmt: skip


@torch.no_grad()
def _update(parameters: list[Tensor]) -> None:
    """Clip the gradients, take a step of AdamW, let go of them, average the weights."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, torch.clamp(1 / (norm + 1e-6), max=1))
    torch._fused_adamw_(
        parameters, gradients, parameters, parameters, [], [], lr=0.0, beta1=0.0, beta2=0.0,
        weight_decay=0.0, eps=0.0, amsgrad=False, maximize=False,
    )  # fmt: skip
    del gradients
    for parameter in parameters:
        parameter.grad = None
    torch._foreach_lerp_(parameters, parameters, 0.01)


@contextmanager
def _quiet_checkpoints() -> Iterator[None]:
    """Recomputed tensors are the backend's, saved ones are not: not to be compared."""
    setattr(blocks, "checkpoint", partial(checkpoint, determinism_check="none"))  # noqa: B010
    try:
        yield
    finally:
        setattr(blocks, "checkpoint", checkpoint)  # noqa: B010


def trace_config(config: ModelConfig, execution: Execution) -> StepTrace:
    """Trace a step of a model of this program."""
    model = _model(config)
    for module in model.modules():
        if isinstance(module, Block):
            module.recompute = execution.recompute
            if isinstance(module.mixer, Performer):
                module.mixer.keep_features = execution.recompute == "fast"
    return trace_step(
        model,
        execution,
        channels=config.in_channels,
        height=config.image_height,
        width=config.image_width,
    )


@lru_cache(maxsize=2)
def _model(config: ModelConfig) -> nn.Module:
    with torch.device("meta"):
        model = build(config)
    for module in model.modules():
        if isinstance(module, Block):
            module.draws = False  # the state of a random generator is no tensor
    return model


def count_parameters(config: ModelConfig) -> int:
    """Return the number of weights of a model, without making them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(config).parameters())
