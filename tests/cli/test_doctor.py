"""A report for bug reports: complete, honest about failures, and without anything private."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "hardware"))

from stand_ins import build_driver, environment, make_torch, no_driver, told

from vixtui.cli import diagnosis, doctor

PROGRAM = (
    "import sys\n"
    "from vixtui.__main__ import main\n"
    "code = main()\n"
    "assert not {'torch', 'numpy', 'textual'} & set(sys.modules)\n"
    "sys.exit(code)"
)
SECTIONS = ["versions", "system", "terminal", "environment", "limits", "gpus", "tried"]
Doctor = Callable[..., str]


@pytest.fixture
def vixtui_doctor(tmp_path: Path) -> Doctor:
    """Run the command beside a stand-in for torch; return what it says on stdout."""
    (tmp_path / "site").mkdir()
    site = make_torch(tmp_path / "site")

    def run(*options: str, driver: Path | None = None, torch: Any = None, **settings: str) -> str:
        if driver is None:
            (tmp_path / "driver").mkdir()
            driver = no_driver(tmp_path / "driver")
        settings["FAKE_TORCH"] = json.dumps(torch or {})
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "doctor", *options],
            env=environment(driver, site, **settings),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_section_is_there_for_people_and_for_scripts(vixtui_doctor, tmp_path):
    driver = no_driver(tmp_path)
    titles = [
        line for line in vixtui_doctor(driver=driver).splitlines() if not line.startswith(" ")
    ]
    found = json.loads(vixtui_doctor("--json", driver=driver))
    assert titles == SECTIONS
    assert list(found) == ["schema_version", *SECTIONS]
    assert found["versions"]["python"].startswith(platform.python_version())
    assert "psutil" in found["limits"]["RAM, total"] or "cgroup" in found["limits"]["RAM, total"]
    assert found["tried"]["NVML"] == "no NVIDIA driver library"
    assert found["tried"]["torch process"].startswith("2.99.0 answered in")


def test_drivers_and_what_failed_are_named(vixtui_doctor, tmp_path):
    answers = {"gpus": 2, "0.used": 92, "0.processes": "12:50", "1.return.nvmlDeviceGetName": 15}
    driver = build_driver(tmp_path)
    report = json.loads(vixtui_doctor("--json", driver=driver, FAKE_NVML=told(answers)))
    assert report["tried"]["NVML"] == "driver 570.86, nvml 12.570.86, cuda 12.8"
    assert report["gpus"]["cuda 0"].startswith("Fake GPU, 8.49 GB of 8.59 GB free (nvml)")
    assert report["gpus"]["cuda 0"].endswith("other processes: 1")
    assert "lost" in report["gpus"]["note 1"]
    assert "GPU-0000" not in json.dumps(report)


def test_a_driver_that_does_not_match_says_so(vixtui_doctor, tmp_path):
    mismatch = told({"return.nvmlInitWithFlags": 18})
    report = json.loads(vixtui_doctor("--json", driver=build_driver(tmp_path), FAKE_NVML=mismatch))
    assert "mismatch" in report["tried"]["NVML"]
    assert "mismatch" in report["gpus"]["note 1"]


def test_a_broken_torch_is_reported_without_user_host_or_home(vixtui_doctor, tmp_path):
    home, host = tmp_path / "people" / "wanda7", platform.node()
    home.mkdir(parents=True)
    error = f"{home}/lib/libgomp.so: of wanda7 at {host}, GPU-8932f937-d72c"
    report = vixtui_doctor(
        "--json",
        torch={"error": error},
        HOME=str(home),
        LOGNAME="wanda7",
        VIXTUI_HOME=str(home / "runs"),
        CUDA_VISIBLE_DEVICES="GPU-8932f937-d72c-4106-c12f-20bd9faed9f6",
        LD_PRELOAD="",
        SSH_CONNECTION="192.0.2.7 1 192.0.2.8 22",
    )
    tried = json.loads(report)["tried"]["torch process"]
    assert "~/lib/libgomp.so: of <user> at <host>, GPU-\u2026" in tried
    for secret in ("wanda7", str(home), "8932f937", "192.0.2", *([host] if len(host) > 3 else [])):
        assert secret not in report
    assert json.loads(report)["terminal"]["over SSH"] == "yes"


def test_a_section_that_fails_does_not_take_the_others_along(monkeypatch, vixtui):
    def limits() -> dict[str, str]:
        raise PermissionError("not allowed")

    monkeypatch.setattr(diagnosis, "limits", limits)
    monkeypatch.setattr(diagnosis, "_ask_torch", lambda: "not asked here")
    result = vixtui("doctor", "--json")
    report = json.loads(result.out)
    assert result.code == 0
    assert report["limits"] == {"failed": "PermissionError: not allowed"}
    assert report["system"]["processor"]


def test_the_deprecated_pynvml_distribution_is_named(monkeypatch):
    monkeypatch.setattr(diagnosis, "installed_version", {"torch": "2.14.1", "pynvml": "13.0.1"}.get)
    found = diagnosis.versions()
    assert found["pynvml"].startswith("13.0.1, deprecated")
    assert (found["torch"], found["textual"]) == ("2.14.1", "not installed")


def test_memory_limits_are_listed(monkeypatch):
    from vixtui.hardware import cgroup, machine

    limit = machine.Figure(4 * 10**9, "cgroup v2 memory.max")
    monkeypatch.setattr(cgroup, "memory_limits", lambda: [cgroup.MemoryLimit(limit, 10**9)])
    assert diagnosis.limits()["memory limit 1"] == "4.00 GB, 1.00 GB free (cgroup v2 memory.max)"


@pytest.mark.parametrize("user", ["root", ""])
def test_words_are_not_taken_for_private_names(monkeypatch, user):
    monkeypatch.setattr(doctor.getpass, "getuser", lambda: user)
    monkeypatch.setattr(doctor.platform, "node", lambda: "localhost")
    text = "GPU 0, root group on localhost, GPU-side"
    assert doctor.without_secrets(text) == text
