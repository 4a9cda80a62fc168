"""What the whole engine needs: the traced step, and all that a trace does not see."""

from __future__ import annotations

from vixtui.memory.cost import StepCost
from vixtui.memory.execution import StepPrecision

_MIB = 2**20

# Peak resident memory of an engine with next to no model, by `benchmarks/memory_cpu.py`: Python,
# torch's CUDA build, all that both load until the test, and the room for small objects.
CPU_BASE_BYTES = 549 * _MIB
CPU_BASE_SOURCE = "measured 2026-11-28"
# oneDNN keeps the code of each product in bfloat16, of which there are some 40, in 252 KiB.
_KERNEL_BYTES: dict[StepPrecision, int] = {"fp32": 0, "bf16": 10 * _MIB}
# Smallest budgets are up to so much larger than predicted.
_GPU_MARGIN = 1.05
GPU_CONTEXT_BYTES = 512 * _MIB
# Decoded pictures stay on disk, but all of a small cache is left mapped: mapping some anew for each
# update takes longer than reading them.
MOST_MAPPED_BYTES = 8 * _MIB
# This batch, the next and one to try; and of every picture its path and facts.
_BATCHES = 3
_BYTES_A_PICTURE = 1000

CPU_BASIS = (
    "predicted: what a traced step makes the heap grow by, three batches of pictures, "
    f"{CPU_BASE_BYTES // _MIB} MiB for torch ({CPU_BASE_SOURCE}), in bf16 some for kernels"
)
GPU_BASIS = (
    f"predicted: smallest budget of a traced step × {_GPU_MARGIN}, {GPU_CONTEXT_BYTES // _MIB} MiB "
    "for CUDA (default); checked against torch's CUDA allocator without a GPU"
)


def cpu_bytes(
    cost: StepCost, precision: StepPrecision, *, images: int, batch_size: int, image_bytes: int
) -> int:
    """Return the resident memory of an engine that trains on the CPU.

    Args:
        cost: of one step.
        precision: in which it is computed.
        images: training pictures.
        batch_size: pictures of an update.
        image_bytes: of a decoded picture, a byte a channel.
    """
    pictures = _BATCHES * batch_size * image_bytes + _BYTES_A_PICTURE * images
    if images * image_bytes <= MOST_MAPPED_BYTES:
        pictures += images * image_bytes
    return CPU_BASE_BYTES + _KERNEL_BYTES[precision] + cost.budget_bytes + pictures


def gpu_bytes(cost: StepCost) -> int:
    """Return the GPU memory of an engine that trains there."""
    return round(GPU_CONTEXT_BYTES + _GPU_MARGIN * cost.budget_bytes)
