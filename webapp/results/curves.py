"""Loss against cost for single runs: first crossings, target losses, and the mean over seeds. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, isnan, log
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
SHARES = (1.0, 0.85, 0.7, 0.5)
"""Target losses are the baseline's at these shares of its cost; the first is the headline, early ones are easy."""


@dataclass(frozen=True)
class Curve:
    """Evaluations of one run: cumulative `costs`, ascending, and `losses`, NaN where an evaluation was not finite."""

    costs: Floats
    losses: Floats

    @classmethod
    def of(cls, costs: Sequence[float], losses: Sequence[float | None]) -> Curve:
        return cls(np.asarray(costs, float), np.asarray([np.nan if loss is None else loss for loss in losses], float))

    @cached_property
    def best(self) -> Floats:
        """Running minimum of the loss; NaN before the first finite evaluation. Every target loss is looked up in it."""
        return np.fmin.accumulate(self.losses) if self.losses.size else self.losses


@dataclass(frozen=True, slots=True)
class Reach:
    """What one run paid to reach a loss.

    `missed`: it never did, `cost` is all it spent, a lower bound. `early`: it was there at the first evaluation that
    cost anything, so `cost` is an upper bound.
    """

    cost: float
    kind: Literal["reached", "early", "missed"]


@dataclass(frozen=True, slots=True)
class Target:
    """A loss that every baseline seed reached by `share` of its cost."""

    share: float
    loss: float


@dataclass(frozen=True, slots=True)
class Band:
    """Mean loss over seeds on a common cost grid, and half the width of its 95 % t-interval (None below 3 seeds)."""

    costs: Floats
    mean: Floats
    half: Floats | None
    n: int


def cost_to_reach(curve: Curve, target: float) -> Reach:
    """First crossing of the running minimum, linear in log cost between two evaluations, never extrapolated."""
    if not curve.costs.size:
        raise ValueError("a run without evaluations has no cost to reach a loss")
    costs, best = curve.costs, curve.best
    i = best.size - int(best[::-1].searchsorted(target, "right"))  # backwards it ascends, NaN last
    if i == best.size:
        return Reach(float(costs[-1]), "missed")
    if i == 0 or isnan(best[i - 1]) or costs[i - 1] <= 0:
        return Reach(float(costs[i]), "early")
    share = (best[i - 1] - target) / (best[i - 1] - best[i])
    before, after = log(costs[i - 1]), log(costs[i])
    return Reach(exp(before + share * (after - before)), "reached")


def loss_at(curve: Curve, cost: float) -> float | None:
    """Running minimum at this cost, linear in log cost; None outside the evaluations."""
    finite = int(curve.best[::-1].searchsorted(np.nan))
    first = max(int(curve.costs.searchsorted(0.0, "right")), curve.best.size - finite)
    costs, best = curve.costs[first:], curve.best[first:]
    if not costs.size or not costs[0] <= cost <= costs[-1] * (1 + 1e-9):
        return None
    after = int(costs.searchsorted(cost, "right"))
    near = slice(after - 1, after + 1)
    return float(np.interp(np.log(cost), np.log(costs[near]), best[near]))


def targets(baseline: Sequence[Curve], shares: Sequence[float] = SHARES) -> tuple[Target, ...]:
    """The target grid, headline first: at each share of cost the highest baseline loss, so that every seed is there."""
    found = []
    for share in shares if baseline else ():
        losses = [loss_at(curve, share * float(curve.costs[-1])) if curve.costs.size else None for curve in baseline]
        if all(loss is not None for loss in losses):
            found.append(Target(share, max(loss for loss in losses if loss is not None)))
    return tuple(found)


def band(curves: Sequence[Curve], points: int = 120) -> Band | None:
    """Mean over seeds where all of them exist, on a grid even in log cost; None if they nowhere overlap."""
    known = [(curve.costs > 0) & ~np.isnan(curve.losses) for curve in curves]
    if not curves or any(keep.sum() < 2 for keep in known):
        return None
    pairs = [(np.log(curve.costs[keep]), curve.losses[keep]) for curve, keep in zip(curves, known, strict=True)]
    low, high = max(costs[0] for costs, _ in pairs), min(costs[-1] for costs, _ in pairs)
    if low >= high:
        return None
    grid = np.linspace(low, high, points)
    values = np.stack([np.interp(grid, costs, losses) for costs, losses in pairs])
    n = len(curves)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n) if n >= 3 else None
    return Band(np.exp(grid), values.mean(axis=0), half, n)


def thinned(curve: Curve, limit: int) -> Curve:
    """At most `limit` points: first and last, and the lowest and highest of each stretch between, even in log cost."""
    if curve.costs.size <= limit:
        return curve
    inner = np.arange(1, curve.costs.size - 1)
    logs = np.log(np.maximum(curve.costs[inner], np.finfo(float).tiny))
    positive = logs[curve.costs[inner] > 0]
    first, last = (float(positive[0]), float(positive[-1])) if positive.size else (0.0, 0.0)
    edges = np.linspace(first, last, max((limit - 2) // 2, 1) + 1)[1:-1]
    filled = np.nan_to_num(curve.losses, nan=np.inf)
    kept = {0, curve.costs.size - 1}
    for stretch in np.split(inner, np.searchsorted(logs, edges)):
        if stretch.size:
            kept |= {int(stretch[filled[stretch].argmin()]), int(stretch[filled[stretch].argmax()])}
    chosen = np.array(sorted(kept))
    return Curve(curve.costs[chosen], curve.losses[chosen])
