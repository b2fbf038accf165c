"""Planted results: power-law runs whose true costs are known, as values and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone

from training.records import Purpose
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun, Test, TestScore
from webapp.results.evaluations import Evaluation
from webapp.runs.models import TERMINAL, CostLine, Point, Run, Score, Series
from webapp.teams.models import Membership, Project, Role

STEP_FLOPS = 1e9


def run(seed: int, *, share: float = 1.0, lag: float = 1.0, steps: int = 600, state: str = "succeeded") -> SeedRun:
    """A run whose steps cost `share` of a dense step and whose loss falls `lag` times later in cost."""
    at = np.geomspace(10, steps, 20).round().astype(int)
    rng = np.random.default_rng(seed)
    order = float(np.exp(rng.normal(0, 0.05)))
    evaluations = tuple(
        Evaluation(
            int(step),
            int(step) * 2048,
            float(step * share * STEP_FLOPS),
            step * share * 0.1,
            float(3 + 3 * (step * share / (10 * lag * order)) ** -0.5),
        )
        for step in at
    )
    spent = float(steps * share * STEP_FLOPS)
    lines = (
        Line("train", Purpose.TRAIN, spent, spent, steps * share * 0.1, steps * 2048, steps * 16),
        Line("train", Purpose.EVAL, 0.1 * spent, 0.1 * spent, 3.0, 0),
    )
    return SeedRun(f"run{seed}", seed, state, evaluations, lines)


def accuracy(value: float, seeds: Sequence[int]) -> TestScore:
    by_seed = {seed: value + 0.01 * ((seed * 7) % 5 - 2) for seed in seeds}
    return TestScore(Test("cloze", "acc", "heldout", 1, 0), by_seed, 200, 0.01, True, 0.02)


def arm(
    label: str, runs: Sequence[SeedRun], *, index: int = 0, spec: RunSpec | None = None, acc: float = 0.3
) -> ArmResult:
    """An arm of these runs; the first one is the baseline."""
    seeds = [run.seed for run in runs if run.succeeded]
    scores = (accuracy(acc, seeds),) if seeds else ()
    return ArmResult(f"arm{index}", label, index, index == 0, spec or RunSpec(), tuple(runs), scores)


def comparison(*arms: ArmResult) -> Comparison:
    return Comparison("demo23456789", "EST on tiny GPT", "Does EST save compute?", arms)


def experiment(title: str = "EST on tiny GPT", *, user: User | None = None) -> Experiment:
    """An experiment in a project of its own."""
    project = Project.objects.create(name="Lab", slug=f"lab-{Project.objects.count()}")
    if user:
        Membership.objects.create(project=project, user=user, role=Role.MEMBER)
    return Experiment.objects.create(project=project, title=title, question="Does it save compute?", owner=user)


def store(experiment: Experiment, result: ArmResult) -> Arm:
    """Write an arm's planted values as the rows that workers would have written."""
    stored = Arm.objects.create(
        experiment=experiment,
        label=result.label,
        body=result.spec.model_dump(mode="json"),
        digest=result.spec.digest(),
        is_baseline=result.is_baseline,
    )
    for planted in result.runs:
        _store_run(stored, planted, result.scores)
    return stored


def _store_run(stored: Arm, planted: SeedRun, scores: Sequence[TestScore]) -> None:
    finished: dict[str, Any] = {"finished_at": timezone.now()} if planted.state in TERMINAL else {}
    row = Run.objects.create(arm=stored, seed=planted.seed, state=planted.state, **finished)
    series = Series.objects.create(run=row, phase="train", name="val/loss")
    Point.objects.bulk_create(
        Point(
            series=series,
            step=point.steps,
            value=point.loss,
            finite=point.loss is not None,
            flops=point.executed,
            tokens=point.tokens,
            seconds=point.seconds,
            fence=1,
            event=event,
        )
        for event, point in enumerate(planted.evaluations)
    )
    for line in planted.lines:
        CostLine.objects.create(
            run=row,
            phase=line.phase,
            purpose=line.purpose.value,
            executed=line.executed,
            effective=line.effective,
            wall_seconds=line.seconds,
            tokens=line.tokens,
            examples=line.examples,
        )
    for score in scores:
        if planted.seed in score.by_seed:
            Score.objects.create(
                run=row,
                task=score.test.task,
                metric=score.test.metric,
                split=score.test.split,
                value=score.by_seed[planted.seed],
                stderr=score.noise,
                n=score.n,
                chance=score.chance,
            )
