"""The shape of the comparison that `results.tables.comparison_json` writes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from webapp.api.bodies import Code
from webapp.results.comparison import Unit
from webapp.results.verdict import Verdict
from webapp.runs.models import State


class MeanAnswer(BaseModel):
    """Mean over seeds and its standard error, null below two."""

    mean: float
    stderr: float | None
    seeds: int


class IntervalAnswer(BaseModel):
    """95 % over seeds."""

    low: float
    high: float
    method: str


class EstimateAnswer(BaseModel):
    """A share (savings) or a difference in nats; `bound` says that the value is only a limit."""

    value: float | None
    n: int
    interval: IntervalAnswer | None
    bound: Literal["", "at least", "at most"]
    note: str


class TargetAnswer(EstimateAnswer):
    """The saving where the baseline stood at this share of its cost."""

    share: float
    loss: float


class BudgetAnswer(BaseModel):
    """At the same steps or FLOPs: what was saved, and the final loss less the baseline's, in nats."""

    kind: str
    saving: EstimateAnswer
    loss: EstimateAnswer


class SeedAnswer(BaseModel):
    """A run of an arm."""

    code: Code
    seed: int
    state: State


class TestAnswer(BaseModel):
    """An arm's result on one downstream test."""

    __test__ = False

    task: str
    metric: str
    split: str
    version: int
    shots: int
    n: int
    chance: float | None
    mean: float | None = None
    stderr: float | None = None
    seeds: int | None = None


class ComparedArm(BaseModel):
    """An arm: totals of training cost by unit, final validation loss, scores; finished runs only."""

    code: Code
    label: str
    methods: list[str]
    is_baseline: bool
    runs: list[SeedAnswer]
    totals: dict[Unit, MeanAnswer | None]
    final_loss: MeanAnswer | None
    scores: list[TestAnswer]


class FindingAnswer(BaseModel):
    """What is said about one arm against the baseline, in executed FLOPs."""

    arm: Code
    unit: Unit
    verdict: Verdict
    answer: str
    reasons: list[str]
    missing_baselines: list[str]
    at_equal_loss: list[TargetAnswer]
    at_equal_budget: BudgetAnswer | None
    loss_at_equal_flops: EstimateAnswer | None
    downstream: MeanAnswer | None


class ComparisonAnswer(BaseModel):
    """The compare page as plain values. The baseline is the first arm; the headline of a finding is at share 1."""

    experiment: Code
    title: str
    question: str
    baseline: Code | None
    arms: list[ComparedArm]
    findings: list[FindingAnswer]
