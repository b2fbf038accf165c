"""The evaluations of one run, as columns and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from webapp.results.curves import Curve, Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Loss on the fixed validation stream, at training totals so far.

    `loss` is None where it was not finite, `effective` where the run did not tell its effective FLOPs along the way.
    """

    steps: int
    tokens: int
    executed: float
    seconds: float
    loss: float | None
    effective: float | None = None


class Evaluations(Sequence[Evaluation]):
    """A run's evaluations as columns, for there may be thousands.

    `losses` is NaN where one was not finite, `effective` where the run did not tell its effective FLOPs so far.
    """

    def __init__(
        self, steps: Ints, tokens: Ints, executed: Floats, seconds: Floats, losses: Floats, *, effective: Floats
    ) -> None:
        self.steps, self.tokens, self.executed, self.seconds = steps, tokens, executed, seconds
        self.losses, self.effective = losses, effective
        self._curves: dict[str, Curve] = {}

    @classmethod
    def of(cls, rows: Sequence[Evaluation]) -> Evaluations:
        if isinstance(rows, cls):
            return rows
        steps, tokens = (np.array([getattr(row, name) for row in rows], np.int64) for name in ("steps", "tokens"))
        executed, seconds = (np.array([getattr(row, name) for row in rows], float) for name in ("executed", "seconds"))
        losses, effective = (
            np.array([np.nan if (told := getattr(row, name)) is None else told for row in rows], float)
            for name in ("loss", "effective")
        )
        return cls(steps, tokens, executed, seconds, losses, effective=effective)

    def curve(self, cost: str) -> Curve:
        """Loss against a column; made once, for it is asked for anew at every change of another run."""
        if cost not in self._curves:
            self._curves[cost] = Curve(getattr(self, cost).astype(float), self.losses)
        return self._curves[cost]

    def __len__(self) -> int:
        return self.steps.size

    @overload
    def __getitem__(self, at: int) -> Evaluation: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Evaluation, ...]: ...
    def __getitem__(self, at: int | slice) -> Evaluation | tuple[Evaluation, ...]:
        if isinstance(at, slice):
            return tuple(self[i] for i in range(*at.indices(len(self))))
        loss, made = float(self.losses[at]), (int(self.steps[at]), int(self.tokens[at]))
        costs = float(self.executed[at]), float(self.seconds[at])
        return Evaluation(*made, *costs, _known(loss), _known(float(self.effective[at])))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
