"""Promises of several processes: the results of one, and no work lost when one dies."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import faulty
import machines
import psutil
import pytest
import sharing
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from small_runs import WAIT_SECONDS, make_run, of, wait_for

from vixtui.engine import agent
from vixtui.engine.agent import interface_to
from vixtui.engine.distributed import ALONE, Group
from vixtui.errors import ExitCode, UsageError
from vixtui.paths import runs_dir
from vixtui.runs import control
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import (
    DataChecked,
    Failed,
    Finished,
    MemoryRanOut,
    RateFound,
    RunStarted,
    StepDone,
    StepSkipped,
    Stopped,
    Tested,
    Validated,
    Warned,
    WentBack,
)
from vixtui.runs.process import Nodes, start_training

needs_gloo = pytest.mark.skipif(
    not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo"
)


def finish(run: RunDirectory, nproc: int | None = None) -> RunDirectory:
    assert start_training(run, nproc).wait(WAIT_SECONDS) == 0, run.log_path.read_text()
    return run


@given(count=st.integers(0, 10_000), size=st.integers(1, 64))
def test_every_row_has_one_owner_and_shares_are_even(count: int, size: int) -> None:
    rows = list(range(count))
    shares = [rows[Group(rank, size).rows(count)] for rank in range(size)]
    assert [row for share in shares for row in share] == rows
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_alone_needs_no_torch_distributed() -> None:
    rows = torch.arange(6).view(3, 2)
    ALONE.add_up([rows])
    ALONE.copy_from_first([rows])
    assert ALONE.gather(rows, 3) is rows
    assert (ALONE.decide(2.5), ALONE.largest([1, -1])) == (2.5, [1, -1])
    assert torch.equal(rows, torch.arange(6).view(3, 2))


@pytest.mark.skipif(sys.platform != "linux", reason="gloo is told its interface on Linux only")
def test_machines_talk_through_the_interface_that_leads_to_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lan = SimpleNamespace(address="192.168.0.10")
    loopback = SimpleNamespace(address="127.0.0.1")
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"lo": [loopback], "lan0": [lan]})
    assert interface_to("127.0.0.1", alone=True) == "lo"
    monkeypatch.setattr(agent, "_address_to", lambda host: lan.address)
    assert interface_to("first", alone=False) == "lan0"
    monkeypatch.setattr(agent, "_address_to", lambda host: None)
    assert interface_to("nowhere", alone=False) is None


@pytest.mark.skipif(sys.platform != "linux", reason="gloo is told its interface on Linux only")
def test_a_name_that_stands_for_the_loopback_leads_to_no_other_machine() -> None:
    with pytest.raises(UsageError, match=r"localhost stands for .*--rdzv-endpoint.*the address"):
        interface_to("localhost", alone=False)
    assert interface_to("a..b", alone=False) is None  # no name at all


JOINING = """
from vixtui.runs.process import Nodes, join_training
join_training(1, Nodes(2, 1, "127.0.0.1:9"))  # where nobody is
"""


@needs_gloo
def test_a_machine_that_no_longer_joins_keeps_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    joining = subprocess.Popen([sys.executable, "-c", JOINING], env=environment)
    deadline = time.monotonic() + WAIT_SECONDS
    while not list(tmp_path.glob("vixtui-*/vixtui-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    (engine,) = psutil.Process(joining.pid).children()
    joining.terminate()
    joining.wait(WAIT_SECONDS)
    engine.wait(WAIT_SECONDS)
    assert not list(tmp_path.iterdir())


@needs_gloo
def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    program, places = [sys.executable, sharing.__file__], [("0", "2"), ("1", "2")]
    children = [subprocess.Popen([*program, *place, str(tmp_path)]) for place in places]
    sharing.share(0, 1, tmp_path)
    assert [child.wait(WAIT_SECONDS) for child in children] == [0, 0]
    alone, *both = (load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    for shared in both:
        error = (shared["gradient"] - alone["gradient"]).norm() / alone["gradient"].norm()
        assert error <= 1e-12
        assert shared["grad_norm"].item() == pytest.approx(alone["grad_norm"].item(), rel=1e-12)
        assert shared["loss_sum"].item() == pytest.approx(alone["loss_sum"].item(), rel=1e-6)
        assert shared["correct"] == alone["correct"]
        assert torch.equal(shared["gathered"], alone["gathered"])
        assert shared["largest"].tolist() == [1, 0]
        assert shared["exchanged"].tolist() == list(b"once and again")
        assert shared["decided"] == 5
    assert torch.equal(both[0]["gradient"], both[1]["gradient"])


@needs_gloo
def test_what_processes_of_a_machine_exchange_is_no_concern_of_others() -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "3"}
    places = [(0, 0, 2), (1, 1, 2), (2, 0, 1)]
    children = []
    for places_of_one in places:
        names = "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"
        place = dict(zip(names, map(str, places_of_one), strict=True))
        environment = os.environ | meeting | place | {"TORCHELASTIC_RESTART_COUNT": "0"}
        children.append(
            subprocess.Popen(
                [sys.executable, machines.__file__],
                env=environment | {"GLOO_SOCKET_IFNAME": interface_to("127.0.0.1", alone=True)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    told = [child.communicate(timeout=WAIT_SECONDS)[0].strip() for child in children]
    assert told == ["0/1 1/1", "0/1 1/1", "2/0"]


@needs_gloo
def test_a_killed_process_costs_no_bit_and_two_tell_what_one_tells() -> None:
    options = {"epochs": 2, "ema": 0.9, "batch_size": 63}
    alone, whole, killed = (
        make_run(run_id=name, **options) for name in ("alone", "whole", "killed")
    )
    finish(alone)
    finish(whole, 2)
    leader = start_training(killed, 2)
    wait_for(killed, StepDone, 2)
    psutil.Process(leader.pid).children()[1].kill()
    assert leader.wait(WAIT_SECONDS) == 0, killed.log_path.read_text()

    assert len(of(killed, RunStarted)) == 2
    assert any("died" in event.message for event in of(killed, Warned))
    assert killed.model_path.read_bytes() == whole.model_path.read_bytes()
    assert not killed.lock_path.exists()
    for run in (whole, killed):
        assert of(run, Tested)[-1].images == of(alone, Tested)[-1].images
        assert json.loads(run.evaluation_path.read_text())["images"] == run.config().data.test
        for mine, its in zip(of(run, Validated)[-2:], of(alone, Validated), strict=True):
            assert (mine.epoch, mine.step) == (its.epoch, its.step)
            assert mine.loss == pytest.approx(its.loss, rel=1e-4)
            assert mine.top1 == pytest.approx(its.top1, abs=0.02)


@needs_gloo
def test_two_machines_learn_what_two_processes_learn_and_the_second_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, both = (make_run(run_id=name, epochs=1) for name in ("here", "both"))
    finish(here, 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    first = start_training(both, 1, Nodes(2, 0, endpoint))
    command = [sys.executable, "-m", "vixtui", "train", "--nnodes", "2", "--node-rank", "1"]
    subprocess.run([*command, "--rdzv-endpoint", endpoint], timeout=WAIT_SECONDS, check=True)
    assert first.wait(WAIT_SECONDS) == 0, both.log_path.read_text()
    assert both.model_path.read_bytes() == here.model_path.read_bytes()
    assert not list(tmp_path.glob("vixtui*"))


@needs_gloo
def test_a_stop_reaches_all_and_one_process_goes_on_alone() -> None:
    run = make_run(epochs=6)
    leader = start_training(run, 2)
    wait_for(run, StepDone, 2)
    leader.terminate()
    assert leader.wait(WAIT_SECONDS) == 0, run.log_path.read_text()
    (stopped,) = of(run, Stopped)
    assert 0 < stopped.step < 6 * 19
    finish(run, 1)
    assert of(run, RunStarted)[-1].resumed_step == stopped.step
    assert len(of(run, Finished)) == 1


@needs_gloo
def test_a_pause_keeps_all_and_the_death_of_the_leader_ends_all() -> None:
    run = make_run(epochs=50)
    leader = start_training(run, 2)
    wait_for(run, StepDone, 1)
    workers = psutil.Process(leader.pid).children()
    control.send(run.control_path, "pause")
    deadline = time.monotonic() + WAIT_SECONDS
    while run.progress().phase != "paused":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    steps = len(of(run, StepDone))
    time.sleep(0.3)
    assert len(of(run, StepDone)) == steps
    control.send(run.control_path, "resume")
    wait_for(run, StepDone, steps + 1)
    leader.kill()
    leader.wait()
    _, alive = psutil.wait_procs(workers, timeout=WAIT_SECONDS)
    assert not alive
    assert run.state() == "lost"


@needs_gloo
def test_a_reason_that_a_process_names_ends_the_run_without_another_try() -> None:
    run = make_run(batch_size=1, epochs=1)
    assert start_training(run, 2).wait(WAIT_SECONDS) == 2
    (failed,) = of(run, Failed)
    assert failed.exit_code == 2
    assert "--nproc" in failed.message
    assert len(of(run, RunStarted)) == 1


def finish_faulty(run: RunDirectory, fault: str, rank: int) -> int:
    """Train in two processes, one of them with a fault; return the exit code."""
    program = [sys.executable, faulty.__file__, fault, str(rank), "train", str(run.path), "2"]
    with run.log_path.open("ab") as log:
        return subprocess.run(program, stdout=log, stderr=log, timeout=WAIT_SECONDS).returncode


def weights_agree(run: RunDirectory) -> bool:
    one, other = (run.path / f"weights-{rank}" for rank in range(2))
    return one.read_text() == other.read_text()


@needs_gloo
def test_a_loss_that_is_no_number_in_one_process_is_skipped_and_gone_back_from_in_all() -> None:
    run = make_run(epochs=2, ema=0.9)
    assert finish_faulty(run, "nan", 1) == 0, run.log_path.read_text()
    assert [event.step for event in of(run, StepSkipped)] == [4, 25, 26]
    (back,) = of(run, WentBack)
    assert (back.step, back.epoch) == (27, 1)
    assert weights_agree(run)
    assert len(of(run, RunStarted)) == len(of(run, Finished)) == 1


@needs_gloo
def test_memory_that_runs_out_in_one_process_makes_all_go_on_with_less() -> None:
    run = make_run(epochs=2, micro_batch=32)
    assert finish_faulty(run, "memory:8", 1) == 0, run.log_path.read_text()
    assert [event.micro_batch for event in of(run, MemoryRanOut)] == [8]
    assert weights_agree(run)
    assert len(of(run, RunStarted)) == len(of(run, Finished)) == 1


@needs_gloo
def test_a_process_that_nothing_fits_into_ends_the_run_as_one_alone_would() -> None:
    run = make_run(epochs=2)
    assert finish_faulty(run, "memory:0", 1) == ExitCode.DOES_NOT_FIT
    (failed,) = of(run, Failed)
    assert failed.exit_code == ExitCode.DOES_NOT_FIT
    assert "one picture at a time" in failed.message
    assert len(of(run, RunStarted)) == 1


@needs_gloo
@pytest.mark.parametrize(
    ("killed_by", "code", "why"),
    [
        (
            signal.SIGKILL,
            ExitCode.DOES_NOT_FIT,
            "something killed the engine.*--budget or --nproc needs",
        ),
        (signal.SIGABRT, ExitCode.BUG, r"at last of SIGABRT \(.*log\.txt\)"),
    ],
)
def test_a_process_that_dies_again_and_again_ends_the_run_with_how_to_go_on(
    killed_by: signal.Signals, code: ExitCode, why: str
) -> None:
    run = make_run(epochs=1)
    assert finish_faulty(run, f"die:{int(killed_by)}", 1) == code
    (failed,) = of(run, Failed)
    assert failed.exit_code == code
    assert re.match(f"a process of the run died 2 times.*{why}", failed.message)
    assert "'vixtui runs resume run' goes on from step 0" in failed.message
    assert len(of(run, RunStarted)) == 2
    finish(run, 2)


@needs_gloo
def test_a_full_disk_ends_all_with_what_is_kept_and_the_run_goes_on_when_there_is_room() -> None:
    run = make_run(epochs=2)
    assert finish_faulty(run, "disk:1", 0) == ExitCode.DISK
    (failed,) = of(run, Failed)
    assert "kept epoch 0" in failed.message
    assert finish_faulty(run, "none", 0) == 0, run.log_path.read_text()
    assert of(run, RunStarted)[-1].resumed_step == 0
    assert weights_agree(run)


@needs_gloo
def test_early_stopping_stops_all() -> None:
    run = make_run(epochs=500, lr=1e-7, patience=2)
    finish(run, 2)
    assert of(run, Finished)[-1].reason == "early stopping"


@needs_gloo
@pytest.mark.parametrize("cache", [True, False])
def test_each_process_looks_through_its_part_of_the_pictures_for_all_of_a_machine(
    tmp_path: Path, cache: bool
) -> None:
    for shade, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(60):
            image = Image.linear_gradient("L").rotate(3 * number + shade).resize((8, 8))
            image.save(tmp_path / "pictures" / name / f"{number:02}.png")
        (tmp_path / "pictures" / name / "bad.png").write_text("no picture")
    run = make_run(str(tmp_path / "pictures"), epochs=1, batch_size=28, cache=cache)
    assert finish_faulty(run, "none", 0) == 0, run.log_path.read_text()
    (checked,) = of(run, DataChecked)
    assert checked.unusable == 2
    assert sum("bad.png" in event.message for event in of(run, Warned)) == 2
    first, second = ((run.path / f"decoded-{rank}").read_text().splitlines() for rank in range(2))
    everything = checked.train + checked.validation + checked.test + checked.unusable
    assert len(set(first) | set(second)) == everything
    if cache:
        assert len(first) + len(second) == everything
        assert min(len(first), len(second)) > everything / 3
    else:  # besides, each decodes its part of what is learned from and judged, and a little ahead
        assert len(first) + len(second) < 5 * everything


def train_two(name: str, *options: str) -> RunDirectory:
    command = [sys.executable, "-m", "vixtui", "train", "digits", "--nproc", "2", "--name", name]
    done = subprocess.run(
        [*command, "--device", "cpu", *options],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return RunDirectory(runs_dir() / name)


@needs_gloo
def test_the_command_trains_digits_in_two_processes() -> None:
    run = train_two("both", "--preset", "fnet:tiny", "--epochs", "1")
    assert run.config().plan.nproc == 2
    assert run.state() == "done"
    assert of(run, Tested)[-1].images == run.config().data.test


@needs_gloo
def test_two_processes_begin_with_weights_and_find_a_rate() -> None:
    finish(make_run(run_id="first", epochs=1, patch_size=1))
    tuned = train_two("tuned", "--init", "first", "--find-lr", "--epochs", "1")
    assert tuned.config().init is not None
    assert len(of(tuned, RateFound)) == 1


@needs_gloo
def test_time_counts_from_the_start_of_the_command_also_that_for_finding_a_rate() -> None:
    run = train_two("timed", "--preset", "fnet:tiny", "--find-lr", "--time", "1s")
    assert of(run, Finished)[-1].reason == "time"
    assert of(run, RateFound) == []
    assert any("too little time to find" in event.message for event in of(run, Warned))
    counted_from = of(run, Validated)[-1].t - of(run, Finished)[-1].seconds
    assert counted_from < run.config_path.stat().st_mtime


@needs_gloo
def test_two_processes_train_every_fold() -> None:
    train_two("folded", "--preset", "fnet:tiny", "--epochs", "1", "--folds", "2")
    tested = [of(run, Tested)[-1].images for run in list_runs() if run.id.startswith("folded")]
    assert tested == [720, 718]  # all but the pictures kept for a test
