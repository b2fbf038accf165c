"""Reads an experiment's results from the tables: five queries, however many runs it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from training.records import Purpose
from webapp.experiments.models import Arm, Experiment
from webapp.results.comparison import ArmResult, Comparison, Evaluation, Line, SeedRun, Test, TestScore
from webapp.runs.models import CostLine, Point, Run, Score, State

VALIDATION = "val/loss"
"""The series that claims rest on; averages of the training loss never do."""


def comparison(experiment: Experiment) -> Comparison:
    """Everything the compare page says, baseline first, arms in the order they were added."""
    arms = list(Arm.objects.filter(experiment=experiment).order_by("-is_baseline", "id"))
    runs = list(Run.objects.filter(arm__experiment=experiment).order_by("seed"))
    evaluations, lines = _evaluations(experiment), _lines(experiment)
    by_arm: dict[int, list[SeedRun]] = defaultdict(list)
    for run in runs:
        seed_run = SeedRun(
            run.code, run.seed, run.state, evaluations.get(run.pk, ()), lines.get(run.pk, ()), run.joules
        )
        by_arm[run.arm_id].append(seed_run)
    scores = _scores(experiment)
    results = tuple(
        ArmResult(arm.code, arm.label, index, arm.is_baseline, arm.spec, tuple(by_arm[arm.pk]), _tests(scores[arm.pk]))
        for index, arm in enumerate(arms)
    )
    return Comparison(experiment.code, experiment.title, experiment.question, results)


def _evaluations(experiment: Experiment) -> dict[int, tuple[Evaluation, ...]]:
    """Validation losses by run, in the order they were made; steps run on over phases, which each count from 0."""
    found: dict[int, list[Evaluation]] = defaultdict(list)
    done: dict[int, tuple[str, int]] = defaultdict(lambda: ("", 0))
    rows = (
        Point.objects.filter(series__run__arm__experiment=experiment, series__name=VALIDATION)
        .order_by("flops", "series_id", "step")
        .values_list("series__run_id", "series__phase", "step", "tokens", "flops", "seconds", "value", "finite")
    )
    for run, phase, step, tokens, flops, seconds, value, finite in rows:
        if done[run][0] != phase:
            done[run] = phase, found[run][-1].steps if found[run] else 0
        found[run].append(Evaluation(done[run][1] + step, tokens, flops, seconds, value if finite else None))
    return {run: tuple(points) for run, points in found.items()}


def _lines(experiment: Experiment) -> dict[int, tuple[Line, ...]]:
    found: dict[int, list[Line]] = defaultdict(list)
    rows = CostLine.objects.filter(run__arm__experiment=experiment).order_by("id")
    for row in rows:
        line = Line(row.phase, Purpose(row.purpose), row.executed, row.effective, row.wall_seconds, row.tokens)
        found[row.run_id].append(line)
    return {run: tuple(bill) for run, bill in found.items()}


def _scores(experiment: Experiment) -> dict[int, list[Score]]:
    """Scores of succeeded runs by arm."""
    found: dict[int, list[Score]] = defaultdict(list)
    rows = Score.objects.filter(run__arm__experiment=experiment, run__state=State.SUCCEEDED)
    for row in rows.select_related("run").order_by("run__seed"):
        found[row.run.arm_id].append(row)
    return found


def _tests(rows: Iterable[Score]) -> tuple[TestScore, ...]:
    """One entry per test; a version or a number of shots apart is another test."""
    groups: dict[Test, list[Score]] = defaultdict(list)
    for row in rows:
        groups[Test(row.task, row.metric, row.split, row.version, row.shots)].append(row)
    return tuple(
        TestScore(
            test,
            {row.run.seed: row.value for row in group},
            group[0].n,
            group[0].chance,
            group[0].higher_is_better,
            group[0].stderr,
        )
        for test, group in sorted(groups.items())
    )
