"""Shares of what comes in whole units: heads, neurons, layers, steps. Torch-free."""

from __future__ import annotations

from math import floor


def kept(share: float, of: int, *, least: int = 1) -> int:
    """How many of a number a share is: to the nearest, halves up, and not fewer than `least`."""
    return max(least, min(of, floor(share * of + 0.5)))
