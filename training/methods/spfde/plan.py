"""When which block freezes, a pure function of what it costs, and what training then executes. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import floor

from training.catalog import Stage
from training.methods.spfde.knobs import SpfdeKnobs
from training.models.images import ImageShape
from training.models.shape import Shape


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


def times(knobs: SpfdeKnobs, shape: Shape | ImageShape, context: int) -> tuple[int, ...]:
    """After how many intervals each block freezes, front to back; ValueError if the target cannot be reached."""
    blocks = len(shape.blocks) if isinstance(shape, ImageShape) else shape.layers
    most = floor(knobs.freezable * blocks + 1e-9)
    costs = [replace(shape, frozen=frozen).train_flops(context) for frozen in range(most + 1)]
    return plan(costs, length=knobs.intervals, every=1, target=knobs.freeze)


def stages(knobs: SpfdeKnobs, shape: Shape | ImageShape, context: int) -> tuple[Stage, ...]:
    """The closed form of what training executes, by the number of frozen blocks."""
    ends = (0, *times(knobs, shape, context), knobs.intervals)
    networks = [replace(shape, frozen=frozen) for frozen in range(len(ends) - 1)]
    return tuple(
        Stage(
            f"{network.frozen} blocks frozen" if network.frozen else "all blocks learn",
            (end - start) / knobs.intervals * knobs.share_of_steps,
            network.train_flops(context),
            network,
        )
        for network, (start, end) in zip(networks, pairwise(ends), strict=True)
    )
