"""Trains presets on torch's own CUDA allocator, under a limit or none; for `NoopCuda.run`."""

from __future__ import annotations

import gc
import time
from typing import Any

import torch
import torch.nn.functional as F

from vixtui.models.vision_xformer import build
from vixtui.presets import preset

SIDE, CHANNELS, CLASSES, STEPS = 32, 3, 10, 3


def answer(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return `peak_allocated`, `peak_reserved`, `trained` and the `events` for each case.

    A case has a `preset`, `batch`, `bf16` and a `limit` in bytes or None. Events are recorded if
    there is no limit: [block, size], or [block] when it is freed.
    """
    return [run(case) for case in cases]


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Train from an empty allocator and leave it empty."""
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((case["limit"] or total) / total)
    torch.cuda.reset_peak_memory_stats()
    if case["limit"] is None:
        torch.cuda.memory._record_memory_history(context=None, max_entries=10**6)
    try:
        train(case["preset"], case["batch"], bf16=case["bf16"])
        trained = True
    except torch.cuda.OutOfMemoryError:
        trained = False
    events = recorded() if case["limit"] is None else None
    torch.cuda.memory._record_memory_history(enabled=None)
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    leave_empty()
    return {
        "peak_allocated": allocated,
        "peak_reserved": reserved,
        "trained": trained,
        "events": events,
    }


def leave_empty() -> None:
    """Give all memory back, once autograd's thread has let go of a failed step."""
    deadline = time.monotonic() + 10
    while torch.cuda.memory_reserved():
        assert time.monotonic() < deadline, "memory is still in use"
        gc.collect()
        torch._C._cuda_clearCublasWorkspaces()
        torch.cuda.empty_cache()


def train(name: str, batch: int, *, bf16: bool) -> None:
    """Take a few optimizer steps on pictures of random numbers."""
    config = preset(name).model_config(
        image_height=SIDE, image_width=SIDE, in_channels=CHANNELS, num_classes=CLASSES
    )
    model = build(config).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    images = torch.randn(batch, CHANNELS, SIDE, SIDE, device="cuda")
    labels = torch.zeros(batch, dtype=torch.long, device="cuda")
    for _ in range(STEPS):
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=bf16):
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def recorded() -> list[list[int]]:
    """Return the events since recording began, blocks numbered in order."""
    (trace,) = torch.cuda.memory._snapshot()["device_traces"]
    live: dict[int, int] = {}
    events = []
    for entry in trace:
        if entry["action"] == "alloc":
            live[entry["addr"]] = len(events)
            events.append([len(events), entry["size"]])
        elif entry["action"] == "free_completed":
            events.append([live.pop(entry["addr"])])
    return events
