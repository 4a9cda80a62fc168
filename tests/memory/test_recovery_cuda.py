"""Running out of memory on torch's own CUDA allocator, which runs on stand-ins of libraries."""

from __future__ import annotations

import noop_cuda

MIB = 2**20
CONTEXT_BYTES = 512 * MIB


def test_a_budget_binds_on_a_gpu_and_smaller_micro_batches_fit_it(
    cuda: noop_cuda.NoopCuda,
) -> None:
    budget = CONTEXT_BYTES + 128 * MIB
    given = {"preset": "vit:tiny", "side": 32, "batch": 512, "budget": budget}
    found = cuda.run(noop_cuda.HERE / "recover.py", given)
    sizes = [micro_batch for micro_batch, _ in found["changes"]]
    assert sizes == [512 >> halvings for halvings in range(1, len(sizes) + 1)]
    assert sizes
    assert {recompute for _, recompute in found["changes"]} == {"none"}
    assert 16 * MIB < found["allocated"] <= budget - CONTEXT_BYTES
