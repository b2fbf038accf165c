"""An experiment's results as plain frozen values: arms, their runs, curves, bills and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import overload

import numpy as np
from numpy.typing import NDArray

from training import catalog
from training.records import OUTSIDE_TRAINING, Purpose
from training.spec import RunSpec
from webapp.results.curves import Curve, Floats

Ints = NDArray[np.int64]


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
class Evaluation:
    """Loss on the fixed validation stream, at training totals so far; `loss` None where it was not finite."""

    steps: int
    tokens: int
    executed: float
    seconds: float
    loss: float | None


class Evaluations(Sequence[Evaluation]):
    """A run's evaluations as columns, for there may be thousands: `losses` is NaN where one was not finite."""

    def __init__(self, steps: Ints, tokens: Ints, executed: Floats, seconds: Floats, losses: Floats) -> None:
        self.steps, self.tokens, self.executed, self.seconds, self.losses = steps, tokens, executed, seconds, losses
        self._curves: dict[tuple[str, float], Curve] = {}

    @classmethod
    def of(cls, rows: Sequence[Evaluation]) -> Evaluations:
        if isinstance(rows, cls):
            return rows
        steps, tokens = (np.array([getattr(row, name) for row in rows], np.int64) for name in ("steps", "tokens"))
        executed, seconds = (np.array([getattr(row, name) for row in rows], float) for name in ("executed", "seconds"))
        losses = np.array([np.nan if row.loss is None else row.loss for row in rows], float)
        return cls(steps, tokens, executed, seconds, losses)

    def curve(self, cost: str, share: float = 1.0) -> Curve:
        """Loss against a share of a column; made once, for it is asked for anew at every change of another run."""
        if (cost, share) not in self._curves:
            self._curves[cost, share] = Curve(share * getattr(self, cost).astype(float), self.losses)
        return self._curves[cost, share]

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
        return Evaluation(*made, float(self.executed[at]), float(self.seconds[at]), None if np.isnan(loss) else loss)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class SeedRun:
    """One seed of an arm."""

    code: str
    seed: int
    state: str
    evaluations: Sequence[Evaluation] = ()
    lines: tuple[Line, ...] = ()
    joules: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"

    @property
    def final_loss(self) -> float | None:
        return self.evaluations[-1].loss if self.evaluations else None

    @property
    def density(self) -> float | None:
        """Effective over executed FLOPs where every training line agrees on it, else None: points carry no more."""
        ratios = {line.effective / line.executed for line in self.lines if _training(line) and line.executed > 0}
        return next(iter(ratios)) if ratios and max(ratios) - min(ratios) < 1e-9 else None

    def total(self, unit: Unit) -> float | None:
        """Training cost: `eval`, `adapt` and `redone` are left out, but from joules, which a device has only in all."""
        if unit is Unit.JOULES:
            return self.joules
        if unit is Unit.STEPS:
            return float(self.evaluations[-1].steps) if self.evaluations else 0.0
        return float(sum(getattr(line, unit.value) for line in self.lines if _training(line)))

    def effective(self, evaluation: Evaluation) -> float | None:
        """Effective FLOPs at an evaluation, where one density holds for the whole run."""
        return None if self.density is None else self.density * evaluation.executed

    def curve(self, unit: Unit) -> Curve | None:
        """Evaluations against this unit; None if the points do not tell it."""
        if not unit.accrues:
            return None
        rows = Evaluations.of(self.evaluations)
        if unit is not Unit.EFFECTIVE:
            return rows.curve(unit.value)
        return None if self.density is None else rows.curve(Unit.EXECUTED.value, self.density)


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
