"""GPUs that only torch knows: our own torch process with a stand-in for torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from stand_ins import environment, make_torch, no_driver

from vixtui.hardware import accelerators
from vixtui.hardware.accelerators import TorchBuild, graphics_vendors

GIB = 2**30
LOOK = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from vixtui.hardware.accelerators import list_accelerators
from vixtui.hardware.machine import Figure
ram = Figure(32 * 2**30, "psutil"), Figure(6 * 2**30, "psutil")
gpus, notes = list_accelerators(*ram, asked=sys.argv[1] == "asked", root=Path(sys.argv[2]))
print(json.dumps([[asdict(gpu) | {"device": gpu.device} for gpu in gpus], notes]))
assert "torch" not in sys.modules
"""
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /sys")


class Computer:
    """A made-up one: its graphics in files, its torch as a stand-in."""

    def __init__(self, folder: Path) -> None:
        self.root, self.mark = folder / "root", folder / "torch-was-started"
        self._torch, self._driver = folder / "site", no_driver(folder)
        self.root.mkdir()
        self._torch.mkdir()
        self._told: dict[str, Any] = {"mark": str(self.mark)}

    def add_graphics(self, *vendors: str) -> None:
        for number, vendor in enumerate(vendors):
            device = self.root / f"sys/class/drm/card{number}/device"
            device.mkdir(parents=True)
            (device / "vendor").write_text(f"{vendor}\n")

    def install_torch(self, *, hip: str | None = None, xpu: str | None = None, **told: Any) -> None:
        make_torch(self._torch, hip=hip, xpu=xpu)
        self._told |= told

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env=environment(self._driver, self._torch, FAKE_TORCH=json.dumps(self._told)),
            capture_output=True,
            text=True,
        )

    def look(self, *, asked: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
        done = self.run("-c", LOOK, "asked" if asked else "", str(self.root))
        assert done.returncode == 0, done.stderr
        gpus, notes = json.loads(done.stdout)
        return gpus, notes


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def radeon(**changes: Any) -> dict[str, Any]:
    return {
        "name": "AMD Radeon RX 7600", "total_memory": 8 * GIB, "free": 5 * GIB, "is_integrated": 0,
        **changes,
    }  # fmt: skip


def arc(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Intel Arc A770", "type": "gpu", "total_memory": 16 * GIB, "free": 15 * GIB,
        "is_integrated_gpu": False, **changes,
    }  # fmt: skip


@only_linux
@pytest.mark.parametrize("vendors", [(), ("0x1af4",), ("0x1a03", "0x1234")])
def test_without_such_graphics_torch_is_never_started(
    computer: Computer, vendors: tuple[str, ...]
) -> None:
    computer.add_graphics(*vendors)
    computer.install_torch(hip="6.4", xpu="2025", gpus=[radeon()])
    assert computer.look() == ([], [])
    assert not computer.mark.exists()


@only_linux
@pytest.mark.parametrize(("vendor", "name"), [("0x1002", "AMD"), ("0x8086", "Intel")])
def test_graphics_that_torch_is_not_built_for_are_a_note_and_start_nothing(
    computer: Computer, vendor: str, name: str
) -> None:
    computer.add_graphics(vendor)
    computer.install_torch()
    gpus, notes = computer.look()
    assert gpus == []
    assert notes == [f"{name} graphics are not used: the installed torch is not built for them"]
    assert not computer.mark.exists()


@pytest.mark.parametrize("command", [("recommend",), ("recommend", "--device", "cpu"), ("probe",)])
def test_commands_on_a_plain_machine_never_start_torch(
    computer: Computer, command: tuple[str, ...]
) -> None:
    if sys.platform != "linux" or graphics_vendors():
        pytest.skip("this machine has graphics")
    computer.install_torch(hip="6.4", gpus=[radeon()])
    done = computer.run("-m", "vixtui", *command)
    assert done.returncode == 0, done.stderr
    assert not computer.mark.exists()


def test_a_device_that_is_asked_for_is_looked_for(computer: Computer) -> None:
    computer.install_torch(xpu="2025", gpus=[arc()])
    done = computer.run("-m", "vixtui", "recommend", "--device", "xpu", "--json")
    budget = json.loads(done.stdout)["budget"]
    assert (budget["device"], budget["bytes"]) == ("xpu:0", int(0.9 * 15 * GIB))
    assert "SYCL, by torch" in budget["source"]


@only_linux
def test_two_radeons_each_with_what_is_free(computer: Computer) -> None:
    computer.add_graphics("0x1002", "0x1002")
    computer.install_torch(hip="6.4", gpus=[radeon(), radeon(free=GIB)])
    gpus, notes = computer.look()
    assert [(gpu["device"], gpu["free"]["bytes"]) for gpu in gpus] == [
        ("rocm:0", 5 * GIB),
        ("rocm:1", GIB),
    ]
    assert gpus[0]["free"]["source"] == "HIP, by torch"
    assert gpus[0]["shared"] is False
    assert "AMD Radeon RX 7600 is used when asked for: --device rocm:0" in notes


@only_linux
def test_one_failing_radeon_does_not_hide_the_other(computer: Computer) -> None:
    broken = radeon()
    del broken["free"]
    computer.add_graphics("0x1002")
    computer.install_torch(hip="6.4", gpus=[broken, radeon()])
    gpus, notes = computer.look()
    assert [gpu["device"] for gpu in gpus] == ["rocm:1"]
    assert notes[0].startswith("a GPU is left out: HIP error: invalid argument")


def test_integrated_graphics_have_what_the_system_has_free(computer: Computer) -> None:
    amd = radeon(name="AMD Radeon 890M", is_integrated=1, total_memory=64 * GIB, free=60 * GIB)
    computer.install_torch(hip="6.4", gpus=[amd])
    [gpu], _ = computer.look(asked=True)
    assert gpu["shared"]
    assert (gpu["total"]["bytes"], gpu["free"]["bytes"]) == (32 * GIB, 6 * GIB)
    assert gpu["free"]["source"] == "psutil, shared with the system"


def test_integrated_intel_graphics_cannot_tell_what_is_free(computer: Computer) -> None:
    intel = arc(is_integrated_gpu=True, total_memory=28 * GIB)
    del intel["free"]
    computer.install_torch(xpu="2025", gpus=[intel])
    [gpu], _ = computer.look(asked=True)
    assert gpu["device"] == "xpu:0"
    assert (gpu["total"]["bytes"], gpu["free"]["bytes"]) == (28 * GIB, 6 * GIB)


def test_cpu_is_never_seen_as_gpu(computer: Computer) -> None:
    computer.install_torch(xpu="2025", gpus=[arc(name="Intel Xeon", type="cpu")])
    gpus, notes = computer.look(asked=True)
    assert gpus == []
    assert notes[0] == "a GPU is left out: it is no GPU but: cpu"


@pytest.mark.parametrize(
    ("total", "free", "source"),
    [(21 * GIB, 6 * GIB, "psutil"), (5 * GIB, 4 * GIB, "Metal's recommended maximum, by torch")],
)
def test_apple_gpu_has_what_metal_recommends_and_the_system_has_free(
    computer: Computer, total: int, free: int, source: str
) -> None:
    computer.install_torch(apple={"name": "Apple M2", "total": total, "allocated": GIB})
    [gpu], notes = computer.look(asked=True)
    assert (gpu["device"], gpu["name"], gpu["shared"]) == ("mps", "Apple M2", True)
    assert (gpu["total"]["bytes"], gpu["free"]["bytes"]) == (total, free)
    assert gpu["free"]["source"] == f"{source}, shared with the system"
    assert notes[-1] == "Apple M2 is used when asked for: --device mps"


def test_torch_that_cannot_be_imported_is_one_note_with_the_reason(computer: Computer) -> None:
    computer.install_torch(hip="6.4", error="libamdhip64.so.6: cannot open\x1b[31m")
    gpus, notes = computer.look(asked=True)
    assert gpus == []
    assert len(notes) == 1
    assert notes[0].endswith("libamdhip64.so.6: cannot open\\x1b[31m")


@pytest.mark.parametrize("said", ["", "nonsense", "[]", '{"devices": 3}', '{"devices": [1]}', "{}"])
def test_an_answer_that_makes_no_sense_is_one_note(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(accelerators, "_ASK", (sys.executable, "-c", f"print({said!r})"))
    with pytest.raises(accelerators.TorchUnusableError):
        accelerators.ask_torch()


def test_a_torch_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "_ASK", (sys.executable, "-c", "import time; time.sleep(60)"))
    monkeypatch.setattr(accelerators, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(accelerators.TorchUnusableError, match=r"no answer within 0\.2 s"):
        accelerators.ask_torch()


@pytest.mark.parametrize(
    "entry",
    [
        {"backend": "vulkan"}, {"total": -1}, {"free": "much"}, {"total": 1.5}, {"index": None},
        {"read_at": "now"}, {"source": 3},
    ],
)  # fmt: skip
def test_a_described_gpu_that_makes_no_sense_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: dict[str, Any]
) -> None:
    good = {
        "backend": "rocm", "index": 0, "name": "Radeon", "total": 8, "free": 5, "shared": False,
        "source": "HIP, by torch", "read_at": 0.0,
    }  # fmt: skip
    answer = {"devices": [{**good, **entry}, {**good, "index": 1}]}
    monkeypatch.setattr(accelerators, "ask_torch", lambda: answer)
    some = accelerators.Figure(100, "psutil")
    gpus, notes = accelerators.list_accelerators(some, some, asked=True, root=tmp_path)
    assert [gpu.device for gpu in gpus] == ["rocm:1"]
    assert any(note.startswith("a GPU is left out") for note in notes)


def test_what_torch_is_built_for_is_read_without_importing_it(
    computer: Computer, tmp_path: Path
) -> None:
    computer.install_torch(hip="6.4.43484")
    code = (
        "from vixtui.hardware.accelerators import read_torch_build as read\n"
        "build = read()\n"
        "print(build.version, build.hip, build.drives('AMD'), build.drives('Intel'))"
    )
    assert computer.run("-c", code).stdout.split() == ["2.99.0", "6.4.43484", "True", "False"]
    assert not computer.mark.exists()


def test_apples_gpus_are_in_every_build_for_apple() -> None:
    assert TorchBuild("2.14.1").drives("Apple")
