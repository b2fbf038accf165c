"""Two pools of examples drawn at a fixed share."""

from __future__ import annotations

from math import floor
from typing import Any, Protocol

import torch
from torch import Tensor

from training.orders import Shuffled
from training.seeds import derive


class TwoTexts(Protocol):
    """A task with a general pool of examples and one of a domain."""

    pools: tuple[Tensor, Tensor]


class Mixed:
    """An order that takes `share` of its examples from the second pool, exactly so at every moment but for rounding.

    Each pool is shuffled by itself, so that runs of one seed read each text in the same order whatever their share.
    """

    def __init__(self, pools: tuple[Tensor, Tensor], share: float, seed: int, purpose: str) -> None:
        self.share, self.taken = share, 0
        self.orders = [Shuffled(len(pool), derive(seed, purpose, place)) for place, pool in enumerate(pools)]
        for order, pool in zip(self.orders, pools, strict=True):
            order.pool = pool

    def take(self, n: int) -> Tensor:
        second = self._second(self.taken + n) - self._second(self.taken)
        self.taken += n
        counts = (n - second, second)
        return torch.cat([order.take(count) for order, count in zip(self.orders, counts, strict=True) if count])

    def _second(self, total: int) -> int:
        """How many of the first `total` come from the second pool."""
        return floor(self.share * total + 0.5)

    def restrict(self, pool: Tensor) -> None:
        """Draw from examples of `pool` alone from now on; the share stays."""
        for order in self.orders:
            order.restrict(order.pool[torch.isin(order.pool, pool)])

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.taken, "orders": [order.state_dict() for order in self.orders]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]
        for order, saved in zip(self.orders, state["orders"], strict=True):
            order.load_state_dict(saved)
