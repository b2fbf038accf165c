"""How many bits a product runs at, and what that costs relative to 32. Torch-free."""

from __future__ import annotations

from typing import NamedTuple

FULL = 32


def is_full(bits: int) -> bool:
    """Whether so many bits mean no rounding."""
    return not 0 < bits < FULL


class Bits(NamedTuple):
    """Widths of the operands of a layer's products; 0 or 32 and more are full precision."""

    activation: int
    weight: int
    error: int

    @property
    def forward(self) -> float:
        """Share of a multiply-add of 32 by 32 bits."""
        return _share(self.activation, self.weight)

    @property
    def backward(self) -> float:
        """Likewise, of the error's way to the layer's input."""
        return _share(self.error, self.weight)

    @property
    def gradient(self) -> float:
        """Likewise, of the weight's gradient."""
        return _share(self.activation, self.error)

    @property
    def step(self) -> float:
        """The mean of the three: what is left of a training step; (b^2 + 2 b g) / 3072 where weights are b wide too."""
        return (self.forward + self.backward + self.gradient) / 3


def width(bits: int) -> int:
    """Bits that are paid for."""
    return FULL if is_full(bits) else bits


def _share(one: int, other: int) -> float:
    return width(one) * width(other) / FULL**2
