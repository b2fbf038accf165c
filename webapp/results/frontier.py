"""Quality against total cost: which arms no other arm beats, which are tied with those, and which are dominated.

Pure functions. Cost includes the overheads or leaves them out; quality is always written so that higher is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from training.records import Purpose
from webapp.results.comparison import ArmResult, Comparison, SeedRun, Test, TestScore, Unit, counted
from webapp.results.statistics import Estimate, interval

BySeed = Mapping[int, float]
WITH_OVERHEADS = frozenset(Purpose) - {Purpose.ADAPT}
"""All that making the model took: every purpose but `adapt`, which is inference."""
WITHOUT_OVERHEADS = frozenset({Purpose.TRAIN})
BILLED = frozenset({Unit.EXECUTED, Unit.EFFECTIVE, Unit.TOKENS, Unit.SECONDS})
"""Units that a bill tells by purpose; the others a run has as a whole."""


class Standing(StrEnum):
    FRONT = "on the front"
    TIED = "tied with the front"
    DOMINATED = "dominated"


@dataclass(frozen=True, slots=True)
class Quality:
    """What is called quality: `key` names it in the address, `measure` gives it by seed, higher is better."""

    key: str
    label: str
    measure: Callable[[ArmResult], BySeed]
    percent: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """Where one arm stands; `better` are the arms that beat it by their means, `beaten_by` those beyond noise."""

    arm: ArmResult
    costs: BySeed
    qualities: BySeed
    cost: Estimate
    quality: Estimate
    better: tuple[ArmResult, ...] = field(default=())
    beaten_by: tuple[ArmResult, ...] = field(default=())

    @property
    def standing(self) -> Standing:
        if not self.better:
            return Standing.FRONT
        return Standing.DOMINATED if self.beaten_by else Standing.TIED


@dataclass(frozen=True, slots=True)
class Frontier:
    """All arms that have both a cost and a quality, cheapest first, and the labels of the others."""

    quality: Quality
    unit: Unit
    overheads: bool
    positions: tuple[Position, ...]
    absent: tuple[str, ...]

    @property
    def front(self) -> tuple[Position, ...]:
        return tuple(position for position in self.positions if position.standing is Standing.FRONT)

    @property
    def cost_label(self) -> str:
        label = self.unit.of(counted([position.arm for position in self.positions]))
        if self.unit not in BILLED:
            return label
        return f"{label} {'with' if self.overheads else 'without'} overheads"


def qualities(comparison: Comparison) -> tuple[Quality, ...]:
    """What the arms can be ranked by: mean accuracy where there is one, every single test, the validation loss."""
    accuracies = [test for test in comparison.tests if _is_accuracy(comparison, test)]
    mean = [Quality("mean", "mean downstream accuracy", _mean_accuracy(_common(comparison)))] if accuracies else []
    single = [Quality(_key(test), test.title, _single(test), percent=test in accuracies) for test in comparison.tests]
    loss = Quality("loss", "negative validation loss", _negative_loss, percent=False)
    return (*mean, *single, loss)


def frontier(comparison: Comparison, unit: Unit, quality: Quality, *, overheads: bool) -> Frontier:
    """Place every arm that learns what the first one does; seeds without a score or a cost are left out of both means.

    A loss or an accuracy on other data is no better and no worse: such an arm has no place here.
    """
    placed, absent = [], []
    for arm in comparison.arms:
        alike = (arm.spec.task, arm.spec.data) == (comparison.arms[0].spec.task, comparison.arms[0].spec.data)
        position = _position(arm, unit, quality, overheads=overheads) if alike else None
        placed.append(position) if position else absent.append(arm.label)
    judged = [_judged(position, placed) for position in placed]
    ranked = sorted(judged, key=lambda position: (position.cost.value, position.arm.index))
    return Frontier(quality, unit, overheads, tuple(ranked), tuple(absent))


def cost(run: SeedRun, unit: Unit, *, overheads: bool) -> float:
    """What a run took, in this unit: with overheads its whole bill, without them its plain training steps."""
    if unit not in BILLED:
        return run.total(unit) or 0.0
    counted = WITH_OVERHEADS if overheads else WITHOUT_OVERHEADS
    return float(sum(getattr(line, unit.value) for line in run.lines if line.purpose in counted))


def _position(arm: ArmResult, unit: Unit, quality: Quality, *, overheads: bool) -> Position | None:
    costs = arm.by_seed(lambda run: cost(run, unit, overheads=overheads) or None)
    values = quality.measure(arm)
    seeds = sorted(costs.keys() & values.keys())
    if not seeds:
        return None
    ours, theirs = {seed: costs[seed] for seed in seeds}, {seed: values[seed] for seed in seeds}
    return Position(arm, ours, theirs, _estimate(ours), _estimate(theirs))


def _judged(position: Position, placed: list[Position]) -> Position:
    better = [other for other in placed if other is not position and _ahead(other, position)]
    beyond = tuple(other.arm for other in better if _surely_ahead(other, position))
    arms = tuple(other.arm for other in better)
    return Position(
        position.arm, position.costs, position.qualities, position.cost, position.quality, better=arms, beaten_by=beyond
    )


def _ahead(one: Position, other: Position) -> bool:
    """Whether one dominates the other by their means: nowhere worse, somewhere better."""
    saved, gained = _means(other.cost, one.cost), _means(one.quality, other.quality)
    return saved >= 0 and gained >= 0 and (saved > 0 or gained > 0)


def _surely_ahead(one: Position, other: Position) -> bool:
    """The same beyond noise: neither 95 % interval of the differences, paired by seed, reaches below 0.

    Below three shared seeds there is no interval, hence no such claim.
    """
    for better, worse in ((other.costs, one.costs), (one.qualities, other.qualities)):
        seeds = sorted(better.keys() & worse.keys())
        span = interval([better[seed] - worse[seed] for seed in seeds])
        if span is None or span.low < 0:
            return False
    return True


def _means(more: Estimate, less: Estimate) -> float:
    return (more.value or 0.0) - (less.value or 0.0)


def _estimate(by_seed: BySeed) -> Estimate:
    values = list(by_seed.values())
    return Estimate(float(np.mean(values)), len(values), interval(values))


def _is_accuracy(comparison: Comparison, test: Test) -> bool:
    """Accuracies have a level of chance; a perplexity has none, and no scale in common with them."""
    return any(score.chance is not None for arm in comparison.arms for score in arm.scores if score.test == test)


def _common(comparison: Comparison) -> frozenset[Test]:
    """The accuracies that every scored arm took: a mean over other tests would compare apples with pears."""
    taken = [{score.test for score in arm.scores if score.chance is not None} for arm in comparison.arms if arm.scores]
    return frozenset(set.intersection(*taken)) if taken else frozenset()


def _mean_accuracy(common: frozenset[Test]) -> Callable[[ArmResult], BySeed]:
    """Mean over tasks, each the mean of its metrics, for the seeds that took all of them."""

    def measure(arm: ArmResult) -> BySeed:
        scores = [score for score in arm.scores if score.test in common]
        if not scores:
            return {}
        seeds = set.intersection(*(set(score.by_seed) for score in scores))
        tasks = sorted({score.test.task for score in scores})
        by_task = [[score for score in scores if score.test.task == task] for task in tasks]
        return {
            seed: float(np.mean([np.mean([_upward(score, seed) for score in group]) for group in by_task]))
            for seed in sorted(seeds)
        }

    return measure


def _single(test: Test) -> Callable[[ArmResult], BySeed]:
    def measure(arm: ArmResult) -> BySeed:
        found = next((score for score in arm.scores if score.test == test), None)
        return {seed: _upward(found, seed) for seed in found.by_seed} if found else {}

    return measure


def _negative_loss(arm: ArmResult) -> BySeed:
    return {seed: -loss for seed, loss in arm.by_seed(lambda run: run.final_loss).items()}


def _upward(score: TestScore, seed: int) -> float:
    return score.by_seed[seed] if score.higher_is_better else -score.by_seed[seed]


def _key(test: Test) -> str:
    """Exact, since another version or number of shots is another test."""
    return f"{test.task}.{test.metric}.{test.split}.{test.version}.{test.shots}"
