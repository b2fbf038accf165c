"""Randomness derived from names, so that skipping a finished phase changes nothing that follows."""

from __future__ import annotations

import hashlib
import os

import torch


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for this purpose; equal inputs give equal seeds on every machine."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def reseed(seed: int, *names: object) -> None:
    """Restart torch's generators of every device from the derived seed."""
    torch.manual_seed(derive(seed, *names))


def make_deterministic(device: torch.device) -> None:
    """Promise bitwise repetition: one CPU thread and deterministic kernels. Process-wide; call it before any work."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    if device.type == "cpu":
        torch.set_num_threads(1)
