"""Torch's own CUDA code and allocator on a machine without a GPU.

The C files beside this one stand in for NVIDIA's libraries: memory is counted, kernels do nothing.
What torch allocates, and when it runs out of memory, is therefore real; what it computes is not.
cuDNN has no stand-in and is off; a GPU's own overhead (context, driver, other programs) is unseen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_HEADER = "driver_types.h"
_LIBRARIES = re.compile(r"U ((?:cublas|cufft)\w+)")
# Preloaded ones answer before the real ones, which torch loads too; the driver's have none here.
_PRELOADED = ("libnoop_runtime.so", "libnoop_blas.so")

_CHILD = """
import json, os, runpy, sys
import torch
torch.backends.cudnn.enabled = False
torch.set_num_threads(1)  # more would wait for each other, with nothing to do
given = json.load(sys.stdin)
sys.path.insert(0, os.path.dirname(sys.argv[1]))  # programs share parts
print(json.dumps(runpy.run_path(sys.argv[1])["answer"](given)), flush=True)
os._exit(0)  # libraries that clean up at exit would miss their driver
"""


@dataclass(frozen=True, slots=True)
class NoopCuda:
    """The compiled stand-ins, in `folder`."""

    folder: Path

    def run(self, program: Path, given: Any, *, expandable_segments: bool = False) -> Any:
        """Call ``answer(given)`` of a program in a process with the stand-ins.

        Args:
            program: a Python file.
            given: JSON-able, as is the answer.
            expandable_segments: how the allocator takes memory from the driver.

        Raises:
            RuntimeError: with what the program printed to stderr, when it fails.
        """
        kept = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        places = (str(self.folder), os.environ.get("LD_LIBRARY_PATH"))
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(program)],
            env=kept
            | {
                "LD_PRELOAD": ":".join(str(self.folder / name) for name in _PRELOADED),
                "LD_LIBRARY_PATH": ":".join(place for place in places if place),
                "PYTORCH_CUDA_ALLOC_CONF": f"expandable_segments:{expandable_segments}",
                "TORCH_DISABLE_NATIVE_JIT": "1",  # compiled kernels would need a real driver
            },
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program.name} failed:\n{done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])


def missing() -> str | None:
    """Return why the stand-ins cannot be built here, if they cannot; never imports torch."""
    if sys.platform != "linux" or shutil.which("gcc") is None or shutil.which("nm") is None:
        return "needs gcc and nm on Linux to build the no-op CUDA libraries"
    if _torch_library() is None or _headers() is None:
        return "needs the CUDA build of torch and the CUDA headers that come with it"
    return None


def build(folder: Path) -> NoopCuda:
    """Compile the stand-ins into `folder`.

    Raises:
        RuntimeError: when something is missing for that.
    """
    library, headers = _torch_library(), _headers()
    reason = missing()
    if reason or library is None or headers is None:
        raise RuntimeError(reason)
    functions = folder / "functions.c"
    functions.write_text(_functions(library))
    includes = (f"-I{HERE}", f"-I{headers}")
    _compile(folder / _PRELOADED[0], HERE / "runtime.c", *includes)
    _compile(folder / _PRELOADED[1], HERE / "libraries.c", functions)
    for name, source in (("libcuda.so.1", "driver.c"), ("libnvidia-ml.so.1", "nvml.c")):
        _compile(folder / name, HERE / source, f"-Wl,-soname,{name}")
    return NoopCuda(folder)


def _compile(target: Path, *arguments: Path | str) -> None:
    command = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-o", target, *arguments]
    subprocess.run(command, check=True)


def _functions(library: Path) -> str:
    """Return C code in which every function of the libraries succeeds, unless defined elsewhere."""
    command = ["nm", "-D", "--undefined-only", library]
    symbols = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = sorted(set(_LIBRARIES.findall(symbols)))
    return "".join(f"__attribute__((weak)) int {name}(void) {{ return 0; }}\n" for name in names)


def _packages() -> Path | None:
    """Return the folder that torch is installed in."""
    spec = find_spec("torch")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent.parent


def _torch_library() -> Path | None:
    packages = _packages()
    library = packages / "torch" / "lib" / "libtorch_cuda.so" if packages else None
    return library if library and library.exists() else None


def _headers() -> Path | None:
    """Return the folder of the CUDA headers that the CUDA build of torch depends on."""
    packages = _packages()
    found = sorted(packages.glob(f"nvidia/*/include/{_HEADER}")) if packages else []
    return found[-1].parent if found else None
