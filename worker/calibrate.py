"""Measures what training achieves on this device: a short dense run's own step, as JSON on stdout."""

from __future__ import annotations

import json
import platform
import sys
import time
from typing import Any

import psutil
import torch
from torch import nn

WIDTH, ROWS, SECONDS = 256, 2048, 0.5
"""A feed-forward block of the size the small presets use; about half a second of it."""


def flops_per_second(device: torch.device) -> float:
    """Executed FLOP/s of forward and backward through two square layers with a GELU, multiply-add = 2."""
    block = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)).to(device)
    rows = torch.randn(ROWS, WIDTH, device=device, requires_grad=True)
    step_flops = 3 * 2 * ROWS * (2 * 4 * WIDTH * WIDTH)

    def step() -> None:
        block(rows).square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    step()
    start, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < SECONDS:
        step()
        steps += 1
    return steps * step_flops / spent


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    measured: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "memory_bytes": torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else psutil.virtual_memory().total,
        "flops_per_second": flops_per_second(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    json.dump(measured, sys.stdout)


if __name__ == "__main__":
    main()
