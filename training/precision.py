"""Number formats of the forward pass."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

Precision = Callable[[], AbstractContextManager[Any]]


def precision(name: str, device: torch.device) -> Precision:
    """A factory of contexts: fp32 does nothing, bf16 is autocast (weights and optimiser stay fp32)."""
    if name == "fp32":
        return nullcontext
    return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
