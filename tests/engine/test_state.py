"""A state from a disk is trusted no more than weights from a stranger."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from small_runs import make_run
from torch import Tensor

from vixtui.engine.learner import Learner
from vixtui.engine.state import TrainState, load_state, save_state, saved_step, settle_state
from vixtui.engine.weights import card_of, save_weights
from vixtui.errors import WeightsError
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Checkpointed, EventWriter
from vixtui.runs.weights import Preprocessing, read_header

STATE = TrainState(threads=1, precision="fp32", step=1, elapsed_seconds=0.5)
MODEL, MOMENT = "model.head.bias", "optimizer.exp_avg.head.bias"


NUMBERS = itertools.count()


def learner() -> Learner:
    config = make_run(run_id=f"run-{next(NUMBERS)}").config()
    return Learner(config, Preprocessing(mean=(0.5,), std=(0.25,)), torch.device("cpu"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A state after one update."""
    trained = learner()
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    trained.accumulate(images, torch.arange(4), step=0)
    trained.apply(step=0, lr=1e-3)
    save_state(RunDirectory(tmp_path), trained, STATE)
    return tmp_path / "state.safetensors"


def rewrite(path: Path, tensors: dict[str, Tensor], **changes: Any) -> None:
    """Replace tensors, empty ones by none, and entries of the state."""
    metadata, _ = read_header(path)
    state = json.loads(metadata["vixtui-state"]) | changes
    both = load_file(path) | tensors
    kept = {name: tensor for name, tensor in both.items() if tensor.numel()}
    save_file(kept, path, {"vixtui-state": json.dumps(state)})


def test_a_state_comes_back_as_it_was(path: Path) -> None:
    fresh = learner()
    assert load_state(path, fresh) == STATE
    saved = load_file(path)
    for name, tensor in fresh.tensors().items():
        assert torch.equal(tensor, saved[name])
    assert saved.keys() == fresh.tensors().keys()


GONE = torch.zeros(0)


@pytest.mark.parametrize(
    "tensors",
    [
        {MODEL: GONE},
        {MODEL: torch.full((10,), torch.nan)},
        {MODEL: torch.zeros(9)},
        {MODEL: torch.zeros(10, dtype=torch.float16)},
        {MOMENT: GONE},
        {MOMENT: torch.zeros(1)},
        {"more": torch.zeros(1)},
        {"optimizer.exp_avg.nothing": torch.zeros(1)},
    ],
    ids=["missing", "NaN", "shape", "type", "half a moment", "moment", "surplus", "of nothing"],
)
def test_tensors_of_another_training_are_refused(path: Path, tensors: dict[str, Tensor]) -> None:
    rewrite(path, tensors)
    with pytest.raises(WeightsError, match=r"damaged.*train anew"):
        load_state(path, learner())


@pytest.mark.parametrize(
    "changes",
    [
        {"step": -1}, {"step": 2**60}, {"step": 1.5}, {"step": True}, {"step": "1"},
        {"threads": 0}, {"threads": 10**9}, {"precision": "fp8"}, {"elapsed_seconds": -1.0},
        {"elapsed_seconds": float("nan")}, {"best_top1": None}, {"highest_top1": []},
        {"energy_joules": -2.0}, {"wings": 2},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_progress_is_refused(path: Path, changes: dict[str, Any]) -> None:
    rewrite(path, {}, **changes)
    for read in (saved_step, lambda path: load_state(path, learner())):
        with pytest.raises(WeightsError, match=r"damaged.*train anew"):
            read(path)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
NAMES = sorted(TrainState.__dataclass_fields__)


@given(ANY | st.dictionaries(st.sampled_from(NAMES), ANY))
def test_any_progress_is_understood_or_refused(tmp_path: Path, state: Any) -> None:
    path = tmp_path / "state.safetensors"
    save_file({"x": torch.zeros(1)}, path, {"vixtui-state": json.dumps(state)})
    with suppress(WeightsError):
        assert saved_step(path) >= 0


@pytest.mark.parametrize(
    "spoil",
    [lambda content: content[:-4], lambda content: b"", lambda content: b"\x80\x04" * 50],
    ids=["cut", "empty", "pickle"],
)
def test_what_is_no_state_is_refused(path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(WeightsError, match=path.name):
        load_state(path, learner())


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """States of steps 5 and 7, weights of epoch 1 kept between them."""
    run, trained = RunDirectory(tmp_path / "a-run"), learner()
    run.path.mkdir()
    save_state(run, trained, replace(STATE, step=5))
    config = make_run(run_id=f"run-{next(NUMBERS)}").config()
    card = card_of(config, Preprocessing(mean=(0.5,), std=(0.25,)))
    save_weights(run.model_path, trained.averaged.state_dict(), card)
    save_state(run, trained, replace(STATE, step=7, best_epoch=1))
    return run


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_whole_files_are_left_alone(run: RunDirectory) -> None:
    assert settle_state(run) is None
    assert saved_step(run.state_path) == 7
    assert run.predecessor_path.exists()
    assert run.model_path.exists()


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b"")])
def test_instead_of_a_damaged_state_the_one_before_is_gone_on_from(
    run: RunDirectory, damage: Callable[[Path], object]
) -> None:
    damage(run.state_path)
    warning = settle_state(run)
    assert warning is not None
    assert "damaged: state.safetensors" in warning
    assert "of step 5" in warning
    assert saved_step(run.state_path) == 5
    assert settle_state(run) is None


def test_the_newest_state_can_be_lost_again_and_again(run: RunDirectory) -> None:
    for _ in range(3):
        cut(run.state_path)
        assert "of step 5" in (settle_state(run) or "")
        assert saved_step(run.state_path) == 5


def test_without_room_for_a_copy_the_state_before_itself_is_gone_on_from(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    cut(run.state_path)
    assert "of step 5" in (settle_state(run) or "")
    assert saved_step(run.state_path) == 5
    assert {path.name for path in run.path.iterdir()} == {"state.safetensors", "model.safetensors"}


def test_in_place_of_a_damaged_first_state_the_run_begins_anew_unless_more_was_learned(
    tmp_path: Path,
) -> None:
    run = RunDirectory(tmp_path / "a-run")
    run.path.mkdir()
    for step in (0, 19):
        save_state(run, learner(), replace(STATE, step=0))
        run.predecessor_path.unlink(missing_ok=True)
        cut(run.state_path)
        run.model_path.write_bytes(b"torn")
        with closing(EventWriter(run.events_path)) as log:
            log.write(Checkpointed, 1.0, step=step, bytes=1)
        if step:
            with pytest.raises(WeightsError, match=r"damaged.*train anew"):
                settle_state(run)
            continue
        assert "begins anew" in (settle_state(run) or "")
        assert not run.state_path.exists()
        assert not run.model_path.exists()


def test_killed_between_two_renames_is_no_damage(run: RunDirectory) -> None:
    run.state_path.unlink()
    assert settle_state(run) is None
    assert saved_step(run.state_path) == 5


def test_a_damaged_predecessor_harms_nobody(run: RunDirectory) -> None:
    cut(run.predecessor_path)
    assert settle_state(run) is None
    assert saved_step(run.state_path) == 7


def test_two_damaged_states_are_refused(run: RunDirectory) -> None:
    cut(run.state_path)
    cut(run.predecessor_path)
    with pytest.raises(WeightsError, match=r"damaged.*train anew"):
        settle_state(run)


def test_torn_weights_are_learned_again_from_before_they_were_kept(run: RunDirectory) -> None:
    cut(run.model_path)
    assert "damaged: model.safetensors" in (settle_state(run) or "")
    assert saved_step(run.state_path) == 5
    assert not run.model_path.exists()


def test_weights_that_were_damaged_long_ago_end_no_run(run: RunDirectory) -> None:
    save_state(run, learner(), replace(STATE, step=9, best_epoch=1))
    cut(run.model_path)
    assert "weights of epoch 1 are damaged" in (settle_state(run) or "")
    assert saved_step(run.state_path) == 9
    assert not run.model_path.exists()


def test_a_run_without_a_state_starts_at_the_beginning(tmp_path: Path) -> None:
    assert settle_state(RunDirectory(tmp_path)) is None
