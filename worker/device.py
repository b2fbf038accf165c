"""The slot a worker trains on: one per GPU where there are GPUs, else one per CPU core. Torch-free."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True)
class Slot:
    """One device for one trainer. `worker` is the Celery node that holds it, e.g. `gpu1@host`: unique everywhere."""

    kind: str
    index: int
    worker: str

    @classmethod
    def of(cls, node: str) -> Slot:
        """The slot that a node's name tells: `gpu1@host` is the second GPU, every other name a CPU core."""
        found = re.match(r"(gpu)\D?(\d+)@", node)
        return cls("gpu", int(found[2]), node) if found else cls("cpu", 0, node)

    @property
    def environment(self) -> dict[str, str]:
        """What a trainer on this slot may see and use."""
        if self.kind == "gpu":
            return {"CUDA_VISIBLE_DEVICES": str(self.index)}
        return {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def nodes() -> list[str]:
    """Names for the workers of this machine: one per GPU where there are GPUs, else one per CPU core."""
    gpus = len(list(GPUS.iterdir())) if GPUS.exists() else 0
    kind, count = ("gpu", gpus) if gpus else ("cpu", len(os.sched_getaffinity(0)))
    return [f"{kind}{index}@{socket.gethostname()}" for index in range(count)]


def describe(of: Slot) -> dict[str, Any]:
    """What is known without touching the device."""
    return {
        "device": of.kind,
        "memory_bytes": psutil.virtual_memory().total,
        "flops_per_second": None,
        "pace": None,
        "startup_seconds": None,
        "versions": {"python": sys.version.split()[0]},
    }


def measure(of: Slot) -> dict[str, Any]:
    """Its name, memory, FLOP/s and price list, measured in a process of its own: CUDA stays out of this one."""
    command = [sys.executable, "-m", "worker.calibrate"]
    done = subprocess.run(
        command, env=os.environ | of.environment, capture_output=True, text=True, check=True, timeout=120
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
