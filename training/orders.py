"""Which examples come next. A data-selection method supplies another `Order`."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from training.seeds import derive


class Order(Protocol):
    """A resumable stream of example indices."""

    def take(self, n: int) -> Tensor: ...
    def restrict(self, pool: Tensor) -> None: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Shuffled:
    """Epochs of random permutations; permutation k depends on the seed and k only, so methods of one seed share it."""

    def __init__(self, size: int, seed: int) -> None:
        self.pool, self.seed = torch.arange(size), seed
        self.epoch, self.position = 0, 0
        self._permutation: Tensor | None = None

    def restrict(self, pool: Tensor) -> None:
        """Draw from `pool` alone from now on, beginning a new epoch."""
        self.pool, self.position, self._permutation = pool, 0, None
        self.epoch += 1

    def take(self, n: int) -> Tensor:
        """The next `n` indices; an epoch's rest is joined with the next epoch's beginning."""
        parts: list[Tensor] = []
        while n > 0:
            part = self._order()[self.position : self.position + n]
            parts.append(part)
            self.position, n = self.position + len(part), n - len(part)
            if self.position == len(self.pool):
                self.epoch, self.position, self._permutation = self.epoch + 1, 0, None
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _order(self) -> Tensor:
        if self._permutation is None:
            generator = torch.Generator().manual_seed(derive(self.seed, "order", self.epoch))
            self._permutation = self.pool[torch.randperm(len(self.pool), generator=generator)]
        return self._permutation

    def state_dict(self) -> dict[str, Any]:
        return {"pool": self.pool, "epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.pool, self.epoch, self.position = state["pool"], state["epoch"], state["position"]
        self._permutation = None
