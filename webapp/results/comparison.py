"""An experiment's results as plain frozen values: arms, their runs, curves, bills and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from training import catalog
from training.records import OUTSIDE_TRAINING, Purpose
from training.spec import RunSpec
from webapp.results.curves import Curve
from webapp.results.evaluations import Evaluation, Evaluations


class Unit(StrEnum):
    """What a cost is counted in; executed and effective FLOPs are never merged."""

    EXECUTED = "executed"
    EFFECTIVE = "effective"
    TOKENS = "tokens"
    STEPS = "steps"
    SECONDS = "seconds"
    JOULES = "joules"

    @property
    def accrues(self) -> bool:
        """Whether evaluations tell it along the way; joules are only known for whole runs."""
        return self is not Unit.JOULES

    @property
    def label(self) -> str:
        return {
            Unit.EXECUTED: "executed FLOPs",
            Unit.EFFECTIVE: "effective FLOPs",
            Unit.TOKENS: "tokens",
            Unit.STEPS: "steps",
            Unit.SECONDS: "wall time",
            Unit.JOULES: "energy",
        }[self]

    def of(self, counted: str) -> str:
        """The label where data is counted in these: of tokens, `images` for an image."""
        return f"{counted}s" if self is Unit.TOKENS else self.label


@dataclass(frozen=True, slots=True)
class Line:
    """A bill's line: executed and effective FLOPs, wall seconds, tokens, examples."""

    phase: str
    purpose: Purpose
    executed: float
    effective: float
    seconds: float
    tokens: int
    examples: int = 0


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One seed of an arm."""

    code: str
    seed: int
    state: str
    evaluations: Sequence[Evaluation] = ()
    lines: tuple[Line, ...] = ()
    joules: float | None = None
    machine: str = ""
    """Device and threads that it ran on."""
    sunk: Mapping[str, float] = field(default_factory=dict)
    """By unit, what its budget paid for inherited weights and its costs leave out."""

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"

    @property
    def final_loss(self) -> float | None:
        return self.evaluations[-1].loss if self.evaluations else None

    @property
    def is_whole(self) -> bool:
        """Whether ideal hardware would have done all that was executed: then both kinds of FLOPs are the same."""
        return all(line.effective == line.executed for line in self.lines if _training(line))

    def total(self, unit: Unit) -> float | None:
        """Training cost: `eval`, `adapt` and `redone` are left out, but from joules, which a device has only in all."""
        if unit is Unit.JOULES:
            return self.joules
        if unit is Unit.STEPS:
            return float(self.evaluations[-1].steps) if self.evaluations else 0.0
        return float(sum(getattr(line, unit.value) for line in self.lines if _training(line)))

    def effective(self, evaluation: Evaluation) -> float | None:
        """Effective FLOPs so far at an evaluation; None where the run did not tell them along the way."""
        return evaluation.executed if self.is_whole else evaluation.effective

    def curve(self, unit: Unit) -> Curve | None:
        """Evaluations against this unit; None if the points do not tell it."""
        if not unit.accrues:
            return None
        rows = Evaluations.of(self.evaluations)
        if unit is not Unit.EFFECTIVE:
            return rows.curve(unit.value)
        if self.is_whole:
            return rows.curve(Unit.EXECUTED.value)
        return None if np.isnan(rows.effective).any() else rows.curve(unit.value)


def _training(line: Line) -> bool:
    return line.purpose not in OUTSIDE_TRAINING


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean over `n` seeds and its standard error, None below two."""

    value: float
    stderr: float | None
    n: int

    @classmethod
    def of(cls, values: list[float]) -> Mean | None:
        if not values:
            return None
        spread = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        return cls(float(np.mean(values)), spread, len(values))


@dataclass(frozen=True, slots=True, order=True)
class Test:
    """What a score measures; scores of other versions, shots or splits are other tests and are never averaged."""

    task: str
    metric: str
    split: str
    version: int
    shots: int

    __test__ = False

    @property
    def title(self) -> str:
        """`cloze acc (v1)`."""
        shots = f", {self.shots}-shot" if self.shots else ""
        return f"{self.task} {self.metric} (v{self.version}{shots})"


@dataclass(frozen=True, slots=True)
class TestScore:
    """An arm's result on one test, by seed; `n` items, `chance` level, `noise` = standard error over the items."""

    test: Test
    by_seed: Mapping[int, float]
    n: int
    chance: float | None
    higher_is_better: bool
    noise: float | None

    __test__ = False

    @property
    def mean(self) -> Mean | None:
        return Mean.of(list(self.by_seed.values()))


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One arm. `index` is its place on the page: it decides colour, dash and marker."""

    code: str
    label: str
    index: int
    is_baseline: bool
    spec: RunSpec
    runs: tuple[SeedRun, ...]
    scores: tuple[TestScore, ...] = ()

    @property
    def title(self) -> str:
        return " + ".join(catalog.card(name).title for name in self.spec.methods)

    @property
    def is_dense(self) -> bool:
        """Whether it changes nothing: a baseline by nature, whichever budget it has."""
        return self.spec.methods == ("dense",)

    @property
    def finished(self) -> tuple[SeedRun, ...]:
        """Succeeded runs: the only ones that count in claims."""
        return tuple(run for run in self.runs if run.succeeded)

    def by_seed(self, measure: Callable[[SeedRun], float | None]) -> dict[int, float]:
        """A measure of each finished run by seed, runs that lack it left out."""
        found = {run.seed: measure(run) for run in self.finished}
        return {seed: value for seed, value in found.items() if value is not None}

    def curves(self, unit: Unit) -> dict[int, Curve]:
        found = {run.seed: run.curve(unit) for run in self.finished}
        return {seed: curve for seed, curve in found.items() if curve is not None and curve.costs.size}

    def totals(self, unit: Unit) -> Mean | None:
        return Mean.of(list(self.by_seed(lambda run: run.total(unit)).values()))

    @property
    def final_loss(self) -> Mean | None:
        return Mean.of(list(self.by_seed(lambda run: run.final_loss).values()))


def counted(arms: Sequence[ArmResult]) -> str:
    """What the data of these arms is counted in: `token` or `image`, by the task of the first."""
    return arms[0].spec.unit if arms else "token"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All arms of an experiment, baseline first."""

    code: str
    title: str
    question: str
    arms: tuple[ArmResult, ...]

    @property
    def baseline(self) -> ArmResult | None:
        return next((arm for arm in self.arms if arm.is_baseline), None)

    @property
    def rivals(self) -> tuple[ArmResult, ...]:
        return tuple(arm for arm in self.arms if not arm.is_baseline)

    @property
    def counted(self) -> str:
        """What its data is counted in: `token` or `image`."""
        return counted(self.arms)

    @property
    def runs(self) -> tuple[SeedRun, ...]:
        return tuple(run for arm in self.arms for run in arm.runs)

    @property
    def tests(self) -> tuple[Test, ...]:
        return tuple(sorted({score.test for arm in self.arms for score in arm.scores}))
