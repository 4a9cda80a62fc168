"""One training step on tensors without memory: every allocation is seen, none is made.

A step is what the engine does (`vixtui.engine.learner`): pictures come in as bytes, are changed and
normalised; forward, cross entropy, backward, for each micro-batch; gradient clipping, AdamW and the
averaged weights; now and then a forward pass of evaluation in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vixtui.data.augment import augment, draw
from vixtui.data.mix import draw_mix, mix
from vixtui.memory.emulation import Emulation
from vixtui.memory.execution import EVALUATION_FACTOR, Backend, Execution
from vixtui.memory.linear import BATCH
from vixtui.memory.script import StepTrace, Training
from vixtui.memory.tape import Mark, Tape, Work
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
    with _edges(model, tape), tape, emulation:
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
    for _ in ("mean", "reciprocal of the standard deviation"):
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
    return values.sub_(mean).mul_(mean)


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
