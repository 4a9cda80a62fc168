"""What-if hardware: a GPU that is not here, as its user describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vixtui.errors import UsageError
from vixtui.planning.budget import GPU_SHARE, budget_of
from vixtui.planning.types import Budget
from vixtui.text import format_bytes
from vixtui.units import parse_bytes

DEVICE = "simulated"
_OPTION = "--simulate"
_MOST_MULTIPROCESSORS = 1000
_DESCRIPTION = re.compile(
    r"(?P<name>.*?)[\s:,]*(?P<amount>(?<![\d.])\d+(?:\.\d+)?\s*[kmgt](?:i?b)?)"
    r"(?:[\s:,]+(?P<multiprocessors>\d+)(?:\s*sms?)?)?",
    re.IGNORECASE,
)
# The same with the memory in bytes.
_IN_BYTES = re.compile(r"(?P<name>[^:]*):(?P<amount>\d{6,18})(?::(?P<multiprocessors>\d+))?")
# Makers' nominal memory: shorthand for who asks what a card would do, never for one that is here.
_NOMINAL_GB = {
    "GTX 1050 Ti": 4, "GTX 1060": 6, "GTX 1070": 8, "GTX 1080": 8, "GTX 1080 Ti": 11,
    "GTX 1650": 4, "GTX 1660": 6, "GTX 1660 Ti": 6,
    "RTX 2060": 6, "RTX 2070": 8, "RTX 2080": 8, "RTX 2080 Ti": 11,
    "RTX 3050": 8, "RTX 3060": 12, "RTX 3070": 8, "RTX 3080": 10, "RTX 3090": 24,
    "RTX 4060": 8, "RTX 4070": 12, "RTX 4080": 16, "RTX 4090": 24,
    "RTX 5060": 8, "RTX 5070": 12, "RTX 5080": 16, "RTX 5090": 32,
    "T4": 16, "P100": 16, "V100": 16, "L4": 24, "A10": 24, "A100": 40, "H100": 80,
}  # fmt: skip
_MAKERS = re.compile(r"nvidia|geforce|tesla|\W|_", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SimulatedGpu:
    """A GPU that nobody probed.

    Args:
        name: as it was typed.
        bytes: its memory.
        multiprocessors: as NVIDIA counts them; None when nobody said.
    """

    name: str
    bytes: int
    multiprocessors: int | None = None


def parse_gpu(text: str) -> SimulatedGpu:
    """Return the GPU that `text` describes.

    Args:
        text: ``NAME AMOUNT``, ``NAME:AMOUNT:MULTIPROCESSORS``, the amount with a unit or in bytes,
            or the name of a common card, which stands for its nominal memory.

    Raises:
        UsageError: when there is no amount of memory in it and the name is no known card's.
    """
    in_bytes = _IN_BYTES.fullmatch(text.strip())
    found = in_bytes or _DESCRIPTION.fullmatch(text.strip())
    if found is None:
        gigabytes = {_key(name): amount for name, amount in _NOMINAL_GB.items()}.get(_key(text))
        if gigabytes is not None:
            return SimulatedGpu(text.strip(), gigabytes * 10**9)
    elif 1 <= (multiprocessors := int(found["multiprocessors"] or 1)) <= _MOST_MULTIPROCESSORS:
        written = f"{found['amount']}B" if in_bytes else found["amount"]
        amount = parse_bytes(written, whole=0, option=_OPTION)
        said = found["multiprocessors"] is not None
        return SimulatedGpu(found["name"] or "GPU", amount, multiprocessors if said else None)
    raise UsageError(
        f"no GPU is described by: {text}",
        where=_OPTION,
        remedy="write for example 'RTX 3050 4GB', or NAME:MEMORY:MULTIPROCESSORS as mygpu:6GiB:20",
    )


def simulated_budget(gpu: SimulatedGpu, text: str | None = None) -> Budget:
    """Return the memory that a run might use on a GPU that is not here.

    Args:
        gpu: as described.
        text: an amount, or a share of the GPU's memory; without it, 90 % of that.

    Raises:
        UsageError: for an unreadable amount.
    """
    memory = f"{format_bytes(gpu.bytes)} nominal (simulated: {gpu.name})"
    return budget_of(DEVICE, text, whole=gpu.bytes, share=GPU_SHARE, memory=memory)


def _key(name: str) -> str:
    return _MAKERS.sub("", name).lower()
