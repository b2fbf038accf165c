"""Reads an experiment's results from the tables: a few queries, however many runs it has, and only what changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from django.db import connection

from training.records import Purpose
from webapp.experiments.models import Arm, Experiment
from webapp.results import statements
from webapp.results.comparison import ArmResult, Comparison, Evaluations, Line, SeedRun, Test, TestScore
from webapp.results.recent import Recent
from webapp.runs.models import TERMINAL, CostLine, Point, Run, Score, Series, State

VALIDATION = "val/loss"
"""The series that claims rest on; averages of the training loss never do."""


SEEN: Recent[str, Comparison] = Recent(most=16)
EVALUATED: Recent[tuple[str, int, int], Evaluations] = Recent(most=2_000_000, weight=lambda rows: 1 + len(rows))
"""By run, fence and event number, which every write of a point raises: what these name never changes."""


def stamp(experiment: Experiment) -> str:
    """Digest of all rows that a comparison is made of, points by their runs' event numbers. One query."""
    with connection.cursor() as cursor:
        cursor.execute(statements.STAMP, {"experiment": experiment.pk})
        return str(cursor.fetchone()[0])


def comparison(experiment: Experiment, of: str | None = None) -> Comparison:
    """Everything the compare page says, baseline first, arms in the order they were added; `of` spares a stamp."""
    return SEEN.get(of or stamp(experiment), lambda: _comparison(experiment))


def evaluated(experiment: Experiment) -> int:
    """Evaluations of the runs that have not ended."""
    going = Series.objects.filter(run__arm__experiment=experiment, name=VALIDATION).exclude(run__state__in=TERMINAL)
    return Point.objects.filter(series__in=going).count()


def _comparison(experiment: Experiment) -> Comparison:
    arms = list(Arm.objects.filter(experiment=experiment).order_by("-is_baseline", "id"))
    runs = list(Run.objects.filter(arm__experiment=experiment).order_by("seed"))
    evaluations, lines = _evaluations(runs), _lines(experiment)
    by_arm: dict[int, list[SeedRun]] = defaultdict(list)
    for run in runs:
        bill = lines.get(run.pk, ())
        by_arm[run.arm_id].append(SeedRun(run.code, run.seed, run.state, evaluations[run.pk], bill, run.joules))
    scores = _scores(experiment)
    results = tuple(
        ArmResult(arm.code, arm.label, index, arm.is_baseline, arm.spec, tuple(by_arm[arm.pk]), _tests(scores[arm.pk]))
        for index, arm in enumerate(arms)
    )
    return Comparison(experiment.code, experiment.title, experiment.question, results)


def _evaluations(runs: Iterable[Run]) -> dict[int, Evaluations]:
    """Validation losses by run; only of runs that have changed since they were read last."""
    keys = {run.pk: (run.code, run.fence, run.event_seq) for run in runs}
    found = {run: EVALUATED.peek(key) for run, key in keys.items()}
    missing = [run for run, seen in found.items() if seen is None]
    read = _read(missing) if missing else {}
    for run in missing:
        found[run] = EVALUATED.put(keys[run], read.get(run, Evaluations.of(())))
    return {run: seen for run, seen in found.items() if seen is not None}


def _read(runs: list[int]) -> dict[int, Evaluations]:
    """In the order they were made; steps run on over phases, which each count from 0.

    PostgreSQL packs each column into bytes: a million points arrive in a second, as rows they take ten.
    """
    phases: dict[int, list[Evaluations]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(statements.EVALUATIONS, {"runs": runs, "name": VALIDATION})
        for run, *columns in cursor:
            steps, tokens = (np.frombuffer(column, ">i8").astype(np.int64) for column in columns[:2])
            executed, seconds, losses = (np.frombuffer(column, ">f8").astype(float) for column in columns[2:])
            before = phases[run][-1].steps[-1] if phases[run] else 0
            phases[run].append(Evaluations(before + steps, tokens, executed, seconds, losses))
    return {run: _joined(parts) for run, parts in phases.items()}


def _joined(parts: list[Evaluations]) -> Evaluations:
    names = ("steps", "tokens", "executed", "seconds", "losses")
    return Evaluations(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _lines(experiment: Experiment) -> dict[int, tuple[Line, ...]]:
    found: dict[int, list[Line]] = defaultdict(list)
    rows = CostLine.objects.filter(run__arm__experiment=experiment).order_by("id")
    for row in rows:
        costs = (row.executed, row.effective, row.wall_seconds, row.tokens, row.examples)
        found[row.run_id].append(Line(row.phase, Purpose(row.purpose), *costs))
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
