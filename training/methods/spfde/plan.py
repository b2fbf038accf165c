"""When which block freezes: a pure function of what each part of the way costs. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


def plan(costs: Sequence[float], *, length: int, every: int, target: float) -> tuple[int, ...]:
    """Times at which the first block, the second, ... freeze: as late as `target` of the training FLOPs is still saved.

    `costs[k]` is what one unit of time costs with k blocks frozen. The first block freezes at a multiple of `every`
    above 0, the others follow `every` apart, and freezing stops once the target is reached (section 3.2). ValueError
    says what can be saved at most, where that is less.
    """
    total, saved = costs[0] * length, 0.0
    for start in reversed(range(every, length, every)):
        times, saved = list[int](), 0.0
        for at, (before, after) in zip(range(start, length, every), pairwise(costs), strict=False):
            if saved >= target * total:
                break
            saved += (before - after) * (length - at)
            times.append(at)
        if saved >= target * total:
            return tuple(times)
    raise ValueError(f"freezing {len(costs) - 1} blocks saves at most {saved / total:.1%} of the training FLOPs")


@dataclass(frozen=True)
class Timetable:
    """A plan in optimiser steps: blocks freeze, data and masks are exchanged between intervals of equal length."""

    steps: int
    intervals: int
    freezes: tuple[int, ...]
    """For each block that freezes, front to back, after how many intervals."""

    def step(self, interval: int) -> int:
        """The first step of an interval."""
        return round(interval * self.steps / self.intervals)

    def frozen(self, step: int) -> int:
        """How many blocks are frozen in this step."""
        return sum(step >= self.step(interval) for interval in self.freezes)

    def begins(self, step: int) -> bool:
        """Whether an interval begins with this step; the first one does not count, nor does what is past the end."""
        return 0 < step < self.steps and any(self.step(n) == step for n in range(1, self.intervals))
