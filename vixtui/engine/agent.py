"""A run in several processes: torchrun's elastic agent starts, watches and restarts them.

The agent is the engine process that viewers know. It owns the run's lock and turns signals into
the control file's ``stop``. When a process dies, all start again from the last state; when one
ends for a reason it can name, the run ends for that reason.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import psutil
from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from vixtui.engine.distributed import Group
from vixtui.errors import BY_EXIT_CODE, DoesNotFitError, UsageError, VixtuiError
from vixtui.runs.control import send
from vixtui.runs.describe import death_text, resume_text, was_killed
from vixtui.runs.directory import RunDirectory
from vixtui.runs.process import ONE_NODE, Nodes
from vixtui.text import joined

_MAX_RESTARTS = 3
_LOOPBACK = "127.0.0.1"
# EX_TEMPFAIL of sysexits.h: not this process failed, but another.
_LOST_EXIT_CODE = 75
_LOST_SECONDS = 10.0
# Time to type the command on the other machine.
_MEETING_SECONDS = 900


class _Agent(LocalElasticAgent):
    """Restarts the group after a process died, but not after one named its reason."""

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        result = super()._monitor_workers(worker_group)
        if any(_named(failure) for failure in result.failures.values()):
            self._remaining_restarts = 0
        return result


def lead(run: RunDirectory, nproc: int, nodes: Nodes = ONE_NODE) -> None:
    """Train a run in `nproc` processes of this machine, to the end or until told to stop.

    Args:
        run: its directory, or on other machines than the first an empty folder.
        nproc: processes of this machine.
        nodes: the machines that train together.

    Raises:
        UsageError: when the first machine's name stands for this one's loopback.
        VixtuiError: the reason that a process named, or that one died again and again.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: send(run.control_path, "stop"))
    # The agent would take the others for itself, and kill what should save first.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGUSR2"
    host = nodes.endpoint.rpartition(":")[0].strip("[]")
    local = _LOOPBACK if host in (_LOOPBACK, "localhost") else None
    if interface := interface_to(host, alone=bool(local)):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    # Only a static rendezvous lets the machine that holds the run have the first process.
    meeting = RendezvousParameters(
        backend="c10d" if nodes.count == 1 else "static",
        endpoint=nodes.endpoint,
        run_id="vixtui",
        min_nodes=nodes.count,
        max_nodes=nodes.count,
        local_addr=local,
        rank=nodes.rank,
        timeout=_MEETING_SECONDS,
    )
    with tempfile.TemporaryDirectory(prefix="vixtui-") as folder:
        spec = WorkerSpec(
            role="vixtui",
            local_world_size=nproc,
            entrypoint=sys.executable,
            args=("-m", "vixtui.engine", "work", str(run.path)),
            rdzv_handler=get_rendezvous_handler(meeting),
            max_restarts=_MAX_RESTARTS,
            monitor_interval=0.1,
            local_addr=local,
        )
        failures = _Agent(spec, DefaultLogsSpecs(log_dir=folder)).run().failures
    if failures:
        raise _explain(min(failures.values(), key=_later), run)


def _named(failure: ProcessFailure) -> bool:
    return failure.exitcode > 0 and failure.exitcode != _LOST_EXIT_CODE


def _later(failure: ProcessFailure) -> tuple[bool, bool]:
    """Sort those first that others end because of."""
    return not _named(failure), failure.exitcode == _LOST_EXIT_CODE


def _explain(failure: ProcessFailure, run: RunDirectory) -> VixtuiError:
    """Return why the run ends, and how to go on, where it is this machine that has it."""
    if _named(failure):
        return BY_EXIT_CODE.get(failure.exitcode, VixtuiError)(failure.message)
    oom_killed = run.oom_killed()
    saved = run.progress().checkpoint
    resume = resume_text(run, saved, oom_killed=oom_killed)
    times = f"a process of the run died {_MAX_RESTARTS + 1} times"
    if was_killed(failure.exitcode):
        why = death_text(failure.exitcode, oom_killed=oom_killed)
        remedy = joined(resume, "a smaller --budget or --nproc needs less")
        return DoesNotFitError(f"{times}: {why}", where=run.id, remedy=remedy)
    return VixtuiError(
        f"{times}, at last of {failure.signal_name()}",
        where=run.log_path,
        remedy=joined("the log tells more", resume),
    )


def interface_to(host: str, *, alone: bool) -> str | None:
    """Return the name of the network interface that leads to a host, if gloo needs to be told.

    Left to itself, it takes the one that this machine's name stands for, which on many is the
    loopback.

    Args:
        host: name or address of the first machine.
        alone: whether all processes are on this machine.

    Raises:
        UsageError: when there are, but the host stands for the loopback.
    """
    address = _address_to(host)
    if address is None or not (alone or sys.platform == "linux"):
        return None
    if not alone and ip_address(address).is_loopback:
        raise UsageError(
            f"{host} stands for no more than this machine itself here",
            where="--rdzv-endpoint",
            remedy="give the address at which the others find machine 0",
        )
    for name, addresses in psutil.net_if_addrs().items():
        if any(known.address == address for known in addresses):
            return name
    return None


def _address_to(host: str) -> str | None:
    """Return the address of this machine from which it would speak to a host."""
    with suppress(OSError, UnicodeError):
        for family, kind, _, _, address in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
            with suppress(OSError), socket.socket(family, kind) as unused:
                unused.connect(address)  # sends nothing
                return str(unused.getsockname()[0])
    return None


def parent() -> psutil.Process:
    """Return the process that started this one: of one that trains, the agent."""
    return psutil.Process(os.getppid())


def end_with_parent(tidy_up: Callable[[], object] | None = None) -> None:
    """End this process as soon as its parent is gone, whatever it does then; tidy up before."""
    of_mine = parent()

    def watch() -> None:
        of_mine.wait()
        if tidy_up:
            tidy_up()
        os._exit(_LOST_EXIT_CODE)

    threading.Thread(target=watch, daemon=True).start()


# --- in the processes that the agent starts ---


def restarted() -> bool:
    """Tell whether this process takes the place of one that died."""
    return os.environ["TORCHELASTIC_RESTART_COUNT"] != "0"


def receive_run(run: RunDirectory, group: Group) -> RunDirectory:
    """Return where this process finds the run: on several machines, copies from the first.

    Args:
        run: what the agent named.
        group: whose first process has the directory.
    """
    if group.size == group.local_size:
        return run
    mine = run if group.first else RunDirectory(run.path / str(group.rank))
    mine.path.mkdir(parents=True, exist_ok=True)
    for path in (mine.config_path, mine.split_path, mine.state_path):
        content = group.hand_out(path.read_bytes() if group.first and path.exists() else b"")
        if content and not group.first:
            path.write_bytes(content)
    return mine


def name_failure(failure: VixtuiError) -> None:
    """Tell the agent why this process ends."""
    content = {"message": failure.message, "timestamp": int(time.time())}
    Path(os.environ["TORCHELASTIC_ERROR_FILE"]).write_text(json.dumps(content))


def end_with_others() -> NoReturn:
    """Wait for the agent to end this process, for it is not the one that failed."""
    time.sleep(_LOST_SECONDS)
    os._exit(_LOST_EXIT_CODE)
