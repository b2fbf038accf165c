"""The periodic job that goes on with studies: when the last open run of one has ended, it asks again or concludes.

One of whose runs was cancelled asks for no more.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Max, Q

from training import catalog
from training.spec import RunSpec
from training.study import Trace
from webapp.celery import app
from webapp.experiments import services, studies
from webapp.experiments.models import Experiment, Finding
from webapp.runs import lifecycle
from webapp.runs.models import TERMINAL, CostLine, Point, Run, State

TASK = "webapp.runs.study"
LOCK = 7_206_114
"""First number of the advisory lock of a study, its key being the second: a fit may take seconds, so no row is held."""
ACTOR = "study"
ARM = "arms__runs"
log = logging.getLogger(__name__)


def due() -> list[Experiment]:
    """Studies without an open run, of which a run has ended since they were concluded."""
    asking = Experiment.objects.exclude(study="").annotate(ended=Max(f"{ARM}__finished_at"))
    new = Q(finding=None) | Q(finding__until__lt=F("ended"))
    open_ = Run.objects.exclude(state__in=TERMINAL).values("arm__experiment")
    return list(asking.filter(new, ended__isnull=False).exclude(pk__in=open_))


def history(experiment: Experiment) -> tuple[Trace, ...]:
    """Its runs that are over, in order of their launch, with validation curves and costs."""
    runs = Run.objects.filter(arm__experiment=experiment, state__in=TERMINAL).select_related("arm").order_by("pk")
    curves: dict[int, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    points = Point.objects.filter(series__run__in=runs, series__name__startswith="val/", finite=True).order_by("step")
    rows = points.values_list("series__run_id", "series__phase", "series__name", "step", "value")
    for run, phase, name, step, value in rows:
        if value is not None:
            curves[run][f"{phase}/{name}"].append((step, value))
    costs: dict[int, dict[str, float]] = defaultdict(dict)
    for run, phase, purpose, executed in CostLine.objects.filter(run__in=runs).values_list(
        "run_id", "phase", "purpose", "executed"
    ):
        costs[run][f"{phase}/{purpose}"] = executed
    return tuple(
        Trace(
            code=run.code,
            spec=run.arm.spec,
            seed=run.seed,
            failure=_failure(run),
            curves={name: tuple(curve) for name, curve in curves[run.pk].items()},
            costs=costs[run.pk],
            seconds=run.wall_seconds,
        )
        for run in runs
    )


def proceed(experiment: Experiment) -> bool:
    """Launch what the study asks for next, or else store what it concludes; False if somebody else is at it."""
    with _alone(experiment) as alone:
        if not alone:
            return False
        card = catalog.study(experiment.study)
        study, knobs = catalog.load_study(card.name), card.knobs.model_validate(experiment.study_knobs)
        past, until = history(experiment), _last_end(experiment)
        first = experiment.arms.order_by("pk")[0]
        wanted = [] if _called_off(experiment) else study.ask(knobs, first.spec, past)
        if not wanted or not _launched(experiment, wanted):
            body = study.conclude(knobs, past).model_dump(mode="json")
            Finding.objects.update_or_create(experiment=experiment, defaults={"body": body, "until": until})
    return True


def cancel(experiment: Experiment, actor: Any) -> int:
    """Cancel its open runs, so that the study asks for no more and concludes from those that ended; how many."""
    open_ = Run.objects.filter(arm__experiment=experiment).exclude(state__in=TERMINAL).order_by("-pk")
    return sum(lifecycle.cancel(run, actor) for run in open_)


def _launched(experiment: Experiment, specs: list[RunSpec]) -> bool:
    """Whether the runs were added, with the seeds and in the queue of those before; a refusal ends the asking."""
    runs = Run.objects.filter(arm__experiment=experiment)
    seeds = sorted(set(runs.values_list("seed", flat=True)))
    queue = runs.order_by("pk").values_list("queue", flat=True)[0]
    arms = studies.requests(experiment.study, specs, baseline=False)
    if wrong := services.unsuited(arms, project=experiment.project, queue=queue):
        log.warning("study %s: what it asks for is refused: %s", experiment.code, wrong)
        return False
    services.add(experiment, arms, seeds=seeds, queue=queue, actor=ACTOR, note="asked for by the study")
    return True


def _called_off(experiment: Experiment) -> bool:
    """Whether somebody cancelled a run: then no more are asked for, until it is retried."""
    return Run.objects.filter(arm__experiment=experiment, state=State.CANCELLED).exists()


def _last_end(experiment: Experiment) -> datetime:
    ended: datetime = Run.objects.filter(arm__experiment=experiment).aggregate(at=Max("finished_at"))["at"]
    return ended


def _failure(run: Run) -> str:
    if run.state == State.SUCCEEDED:
        return ""
    return ": ".join(filter(None, (str(run.state), run.failure, run.failure_text[:300])))


@contextmanager
def _alone(experiment: Experiment) -> Iterator[bool]:
    """Whether no other process is at this study; the lock goes with the connection, at the latest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, experiment.pk])
        alone = bool(cursor.fetchone()[0])
        try:
            yield alone
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, experiment.pk])


def advance() -> int:
    """Go on with every study that can; how many did. One that fails is told of in the log and hinders no other."""
    went = 0
    for experiment in due():
        try:
            went += proceed(experiment)
        except Exception:
            log.exception("study %s could not go on", experiment.code)
    return went


@app.task(name=TASK)
def study_task() -> None:
    advance()
