"""The shape of the comparison that `results.summary.comparison_json` writes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

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
    """A share (savings) or a difference in nats; `bound` says that the value is only a limit.

    `p` is two-sided, of the paired t-test, before any correction; `spread` is the standard deviation over seeds of
    what was tested, for savings the log cost ratio.
    """

    value: float | None
    n: int
    interval: IntervalAnswer | None
    bound: Literal["", "at least", "at most"]
    note: str
    p: float | None
    spread: float | None


class EvidenceAnswer(BaseModel):
    """A p-value, and what Holm's correction makes of it among the `family` claims made together."""

    p: float
    corrected: float
    family: int


class HintAnswer(BaseModel):
    """This many more seeds would settle this difference at 80 % power; null: more than 100."""

    seeds: int | None
    difference: float


class TargetAnswer(EstimateAnswer):
    """The saving where the baseline stood at this share of its cost."""

    share: float
    loss: float


class BudgetAnswer(BaseModel):
    """At the same steps or FLOPs: what was saved, and the final loss less the baseline's, in nats."""

    kind: str
    saving: EstimateAnswer
    loss: EstimateAnswer
    by_unit: dict[Unit, EstimateAnswer]


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
    """What is said about one arm against the baseline, in executed FLOPs; no saving where it is unmatched."""

    arm: Code
    unit: Unit
    verdict: Verdict
    answer: str
    reasons: list[str]
    missing_baselines: list[str]
    at_equal_loss: list[TargetAnswer]
    at_equal_budget: BudgetAnswer | None
    evidence: EvidenceAnswer | None
    more_seeds: HintAnswer | None
    loss_at_equal_flops: EstimateAnswer | None
    downstream: MeanAnswer | None


class ContestAnswer(BaseModel):
    """Two methods against each other at the headline target: what `arm` saves of the cost of `against`."""

    arm: Code
    against: Code
    saving: EstimateAnswer
    evidence: EvidenceAnswer
    more_seeds: HintAnswer | None


class ComparisonAnswer(BaseModel):
    """The compare page as plain values. The baseline is the first arm; the headline of a finding is at share 1."""

    experiment: Code
    title: str
    question: str
    baseline: Code | None
    inherited_weights: str = Field(description="`charged` to the arms that start from them, or `none`")
    arms: list[ComparedArm]
    findings: list[FindingAnswer]
    contests: list[ContestAnswer]
