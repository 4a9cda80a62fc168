"""Runs that are killed, crowded, without room, without network; names that attack a terminal."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from situations import Place, Verdict, situation, small_disk

from vixtui.runs.events import EpochDone, Finished, RunStarted

EPOCHS = 60
EXPLODING = ("--lr", "1", "--weight-decay", "10")


@situation("training pictures modulo batch size is 1", "last batch dropped or merged")
def _(place: Place) -> Verdict:
    done = place.train("--batch-size", "85")
    return Verdict(done.line("epoch"), done.code, done.code == 0)


@situation("class name with ESC ]0;title BEL", "escaped on the terminal, in CSV, in JSON")
def _(place: Place) -> Verdict:
    for part in ("train", "val"):
        (place.pictures / part / "cat").rename(place.pictures / part / "\x1b]0;title\x07cat")
    code, said = place.on_a_terminal(
        "train", str(place.pictures), "--preset", "vit:tiny", "--epochs", "1", "--name", "run"
    )
    picture = str(place.pictures / "train" / "\x1b]0;title\x07cat" / "1.png")
    question = ("predict", "--model", "run", picture)
    told = [place.on_a_terminal(*question, *form) for form in ((), ("--csv",), ("--json",))]
    said += b"".join(text for _, text in told)
    clean = b"\x1b]0" not in said and b"\x07" not in said
    named = b"\\x1b]0;title" in said
    good = clean and named and {code, *(code for code, _ in told)} == {0}
    return Verdict(f"no escape sequence of the name in {len(said):,} bytes", code, good)


@situation("disk full from the start (2 MB)", "free space checked first, exit 6")
def _(place: Place) -> Verdict:
    with small_disk(place.home, 2):
        done = place.train()
    line = done.line("error")
    return Verdict(line, done.code, done.code == 6 and "space" in line)


@situation("disk fills up while training", "“disk full, kept epoch N”, exit 6; resumes with room")
def _(place: Place) -> Verdict:
    with small_disk(place.home, 40):
        process, started = start_training(place, epochs=2000)
        place.wait_for(EpochDone)
        filler = place.home / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                pass
        done = place.finish(process, started)
        filler.unlink(missing_ok=True)
        resumed, again = start(place, "runs", "resume", "run")
        time.sleep(6)
        stopped = place.vixtui("runs", "stop", "run")
        after = place.finish(resumed, again)
    line = done.line("error")
    good = done.code == 6 and "kept" in line and (stopped.code, after.code) == (0, 0)
    return Verdict(f"{line}; resumed: exit {after.code}", done.code, good)


@situation("kill -9 while training, then resume", "bit-exact: SHA-256 of all tensors compared")
def _(place: Place) -> Verdict:
    whole = place.train(name="whole", epochs=EPOCHS)
    process, started = start_training(place, epochs=EPOCHS)
    kill_engine(place, after=EPOCHS // 2)
    killed = place.finish(process, started)
    done = place.vixtui("runs", "resume", "run")
    same = digest(place.run("whole").model_path) == digest(place.run().model_path)
    resumed = place.event(RunStarted).resumed_step
    said = f"resumed at step {resumed}, weights {'equal' if same else 'UNLIKE'} ({killed.err[-1]})"
    good = same and (whole.code, done.code) == (0, 0) and killed.code != 0
    return Verdict(said, done.code, good)


@situation("power cut: newest state torn", "goes on from the state before it, bit-exact")
def _(place: Place) -> Verdict:
    place.train(name="whole", epochs=EPOCHS)
    process, started = start_training(place, epochs=EPOCHS)
    kill_engine(place, after=EPOCHS // 2)
    place.finish(process, started)
    state = place.run().state_path
    os.truncate(state, state.stat().st_size // 2)
    done = place.vixtui("runs", "resume", "run")
    same = digest(place.run("whole").model_path) == digest(place.run().model_path)
    line = done.line("state") or done.line("error")
    return Verdict(f"{line}; weights {'equal' if same else 'UNLIKE'}", done.code, same)


@situation("the run's folder is deleted while it trains", "one line, exit 6, nothing else touched")
def _(place: Place) -> Verdict:
    process, started = start_training(place, epochs=5000)
    place.wait_for(EpochDone)
    shutil.rmtree(place.run().path, ignore_errors=True)
    done = place.finish(process, started)
    line = done.line("error", "folder of the run is gone")
    return Verdict(line, done.code, done.code == 6 and bool(line))


@situation("stale lock of a dead process, clock set back by a day", "no obstacle; not “starting”")
def _(place: Place) -> Verdict:
    process, started = start_training(place, epochs=200)
    kill_engine(place, after=2)
    place.finish(process, started)
    run, tomorrow = place.run(), time.time() + 86400
    for path in run.path.iterdir():
        os.utime(path, (tomorrow, tomorrow))
    locked, state = run.lock_path.exists(), run.state()
    resumed, again = start(place, "runs", "resume", "run")
    while not run.alive() and resumed.poll() is None:
        time.sleep(0.05)
    stopped = place.vixtui("runs", "stop", "run")
    done = place.finish(resumed, again)
    said = f"before: {state}; resumed at step {place.event(RunStarted).resumed_step}"
    good = locked and state == "lost" and (stopped.code, done.code) == (0, 0)
    return Verdict(said, done.code, good)


@situation("read-only home", "one line, exit 6; what only reads goes on")
def _(place: Place) -> Verdict:
    with small_disk(place.home, 60):
        place.train(name="first")
        subprocess.run(["mount", "-o", "remount,ro", str(place.home)], check=True)
        before = digest(place.run("first").model_path)
        done, listed = place.train(), place.vixtui("runs", "list")
        answered = place.predict(place.pictures / "val")
        same = digest(place.run("first").model_path) == before
    line = done.line("error")
    good = done.code == 6 and "not writable" in line and same
    return Verdict(line, done.code, good and {listed.code, answered.code} == {0})


@situation("loss explodes", "back to the last good state at a lower rate, or stop with advice")
def _(place: Place) -> Verdict:
    done = place.train(*EXPLODING, epochs=100)
    line = done.line("lower") or done.line("rate") or done.line("error")
    advised = done.code == 0 or "--lr" in done.line("error")
    return Verdict(line, done.code, bool(line) and advised and done.code != 1)


@situation("two runs at once from one folder", "a run each; a run has one owner")
def _(place: Place) -> Verdict:
    command = ("train", str(place.pictures), "--preset", "vit:tiny", "--epochs", "1")
    first, second = (start(place, *command) for _ in range(2))
    codes = [place.finish(*process).code for process in (first, second)]
    runs = sorted(path.name for path in (place.home / "runs").iterdir())
    whole = all(place.event(Finished, name) for name in runs)
    process, started = start_training(place, epochs=5000)
    place.wait_for(EpochDone)
    intruder = place.vixtui("runs", "resume", "run")
    place.vixtui("runs", "stop", "run")
    stopped = place.finish(process, started)
    refused = intruder.code == 2 and intruder.is_one_line
    good = codes == [0, 0] and len(runs) == 2 and whole and refused and stopped.code == 0
    return Verdict(f"{len(runs)} runs; {intruder.line('error')}", codes[0], good)


@situation("writes into the user's data folder", "never (watched in every row of this table)")
def _(place: Place) -> Verdict:
    before = place.snapshot()
    folders = [place.pictures, *(path for path in place.pictures.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    done = [place.train(), place.check(), place.predict(place.pictures / "train")]
    codes = {entry.code for entry in done}
    same = place.snapshot() == before and place.left_alone
    return Verdict(
        f"{'nothing' if same else 'SOMETHING'} written", max(codes), codes == {0} and same
    )


@situation("no network (`unshare -n`)", "works offline")
def _(place: Place) -> Verdict:
    before = ("unshare", "-rn") if os.getuid() else ("unshare", "-n")
    command = ("train", str(place.pictures), "--preset", "vit:tiny", "--epochs", "1")
    done = place.vixtui(*command, before=before)
    return Verdict(done.line("best"), done.code, done.code == 0)


def start(place: Place, *arguments: str):
    """Start the program; return the process and when."""
    return place.start(*arguments), time.monotonic()


def start_training(place: Place, epochs: int):
    """Start a training named run; return the process and when."""
    return start(place, *place.training(epochs=epochs))


def kill_engine(place: Place, after: int) -> None:
    """Kill the engine of the run as soon as so many epochs are done."""
    pid = place.wait_for(RunStarted).pid
    while (done := place.wait_for(EpochDone)) and done.epoch < after:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)


def digest(path: Path) -> str:
    """Return the SHA-256 of all tensors of a weights file, in order of their names."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    content = b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
    return hashlib.sha256(content).hexdigest()
