"""When to raise the precision: once the loss has stopped moving. Torch-free.

As in `train_pfq.py` and `train_frac.py` of the code; the text of the paper's algorithm was not read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SCALE_EPOCHS = 10
"""The scale is the mean loss of so many epochs, and then stands still."""
TIGHTER = 2
"""After each of so many turning points the threshold shrinks."""


@dataclass
class Indicator:
    """Sees one loss per epoch and says when all of the last `window` lie within `eps` scales of each other's last.

    The size of the scale counts, not its sign: a loss may lie below zero.
    """

    eps: float
    alpha: float
    window: int
    most: int
    """Turning points after which it says nothing more."""
    turns: int = 0
    epochs: int = 0
    scale: float = 1.0
    losses: list[float] = field(default_factory=list)

    def see(self, loss: float) -> bool:
        """Whether this epoch is a turning point; the window starts anew after one."""
        self.epochs += 1
        if self.epochs <= SCALE_EPOCHS:
            before = 0.0 if self.epochs == 1 else self.scale
            self.scale = before + (loss - before) / self.epochs
        if self.turns >= self.most:
            return False
        self.losses = [*self.losses, loss][-self.window :]
        moved = max((abs(earlier - loss) for earlier in self.losses[:-1]), default=0.0)
        if len(self.losses) < self.window or moved > self.eps * abs(self.scale):
            return False
        self.turns, self.losses = self.turns + 1, []
        if self.turns <= TIGHTER:
            self.eps *= self.alpha
        return True

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
