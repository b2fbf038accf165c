"""Reads an experiment's results from the tables: a few queries, however many runs it has, and only what changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import F
from django.db.models.fields.json import KT
from numpy.typing import NDArray

from training.records import EFFECTIVE_SO_FAR, Purpose
from webapp.experiments.models import Arm, Experiment
from webapp.results import statements
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun, Test, TestScore
from webapp.results.curves import Floats
from webapp.results.evaluations import Evaluations
from webapp.results.recent import Recent
from webapp.runs.models import TERMINAL, CostLine, Point, Run, Score, Series, State

VALIDATION = "val/loss"
"""The series that claims rest on; averages of the training loss never do."""
POINT = np.dtype([("steps", ">i8"), ("tokens", ">i8"), ("executed", ">f8"), ("seconds", ">f8"), ("losses", ">f8")])
"""A packed point."""


MACHINE = {"device": KT("environment__device"), "threads": KT("environment__threads")}
"""What of a run's environment decides about its wall time; the rest of it is large."""


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
    shown = ("arm", "code", "seed", "state", "joules", "fence", "event_seq")
    runs = list(Run.objects.filter(arm__experiment=experiment).order_by("seed").only(*shown).annotate(**MACHINE))
    evaluations, lines = _evaluations(runs), _lines(experiment)
    by_arm: dict[int, list[SeedRun]] = defaultdict(list)
    for run in runs:
        bill = lines.get(run.pk, ())
        by_arm[run.arm_id].append(
            SeedRun(run.code, run.seed, run.state, evaluations[run.pk], bill, run.joules, _machine(run))
        )
    scores = _scores(experiment)
    results = tuple(
        ArmResult(arm.code, arm.label, index, arm.is_baseline, arm.spec, tuple(by_arm[arm.pk]), _tests(scores[arm.pk]))
        for index, arm in enumerate(arms)
    )
    return Comparison(experiment.code, experiment.title, experiment.question, results)


def _machine(run: Any) -> str:
    """As `MACHINE` has it; empty for a run that no worker has started."""
    return f"{run.device}, {run.threads or 1} threads" if run.device else ""


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

    PostgreSQL packs each series into bytes: a million points arrive in a second, as rows they take ten.
    """
    found: dict[tuple[int, str], NDArray[np.void]] = {}
    effective: dict[tuple[int, str], NDArray[np.void]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statements.EVALUATIONS, {"runs": runs, "names": [VALIDATION, EFFECTIVE_SO_FAR]})
        for run, phase, name, packed in cursor:
            points = np.frombuffer(packed, POINT).astype(POINT.newbyteorder("="))
            (found if name == VALIDATION else effective)[run, phase] = points[np.argsort(points["steps"])]
    phases: dict[int, list[Evaluations]] = defaultdict(list)
    telling = {run for run, _ in effective}
    for (run, phase), points in found.items():
        before = phases[run][-1].steps[-1] if phases[run] else 0
        columns = (points[name].copy() for name in ("tokens", "executed", "seconds", "losses"))
        told = _effective(points, effective.get((run, phase))) if run in telling else np.full(points.size, np.nan)
        phases[run].append(Evaluations(before + points["steps"], *columns, effective=told))
    return {run: _joined(parts) for run, parts in phases.items()}


def _effective(points: NDArray[np.void], told: NDArray[np.void] | None) -> Floats:
    """Effective FLOPs at each evaluation of a run that tells them: the executed where it had nothing to tell yet."""
    costs: Floats = points["executed"].copy()
    if told is not None:
        _, ours, theirs = np.intersect1d(points["steps"], told["steps"], return_indices=True)
        costs[ours] = told["losses"][theirs]
    return costs


def _joined(parts: list[Evaluations]) -> Evaluations:
    names = ("steps", "tokens", "executed", "seconds", "losses", "effective")
    *columns, effective = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return Evaluations(*columns, effective=effective)


def _lines(experiment: Experiment) -> dict[int, tuple[Line, ...]]:
    found: dict[int, list[Line]] = defaultdict(list)
    columns = ("run", "phase", "purpose", "executed", "effective", "wall_seconds", "tokens", "examples")
    rows = CostLine.objects.filter(run__arm__experiment=experiment).order_by("id")
    for run, phase, purpose, *costs in rows.values_list(*columns):
        found[run].append(Line(phase, Purpose(purpose), *costs))
    return {run: tuple(bill) for run, bill in found.items()}


def _scores(experiment: Experiment) -> dict[int, list[Any]]:
    """Scores of succeeded runs by arm, each with its run's seed."""
    found: dict[int, list[Any]] = defaultdict(list)
    rows = Score.objects.filter(run__arm__experiment=experiment, run__state=State.SUCCEEDED).order_by("run__seed")
    for row in rows.annotate(arm=F("run__arm"), seed=F("run__seed")):
        found[row.arm].append(row)
    return found


def _tests(rows: Iterable[Any]) -> tuple[TestScore, ...]:
    """One entry per test; a version or a number of shots apart is another test."""
    groups: dict[Test, list[Any]] = defaultdict(list)
    for row in rows:
        groups[Test(row.task, row.metric, row.split, row.version, row.shots)].append(row)
    return tuple(
        TestScore(
            test,
            {row.seed: row.value for row in group},
            group[0].n,
            group[0].chance,
            group[0].higher_is_better,
            group[0].stderr,
        )
        for test, group in sorted(groups.items())
    )
