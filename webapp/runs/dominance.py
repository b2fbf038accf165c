"""Pauses the runs of arms that hardly have a chance to end on the quality-cost frontier. Off unless an experiment asks.

An arm is on the frontier if no arm that costs as much or less ends at a lower loss. Both ends are extrapolated by power
laws from the same share of the run, so that what a falling learning rate does to both cancels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray
from scipy import stats

from webapp.celery import app
from webapp.experiments.models import Arm, Experiment
from webapp.runs import lifecycle
from webapp.runs.models import ACTIVE, TERMINAL, Point, Run, RunEvent, State

Floats = NDArray[np.float64]
THRESHOLD = 0.05
"""Chance below which an arm is paused."""
EARLIEST = 0.3
"""Share of the run before which nothing is judged."""
POINTS = 4
"""Evaluations that a fit needs."""
DOUBT = 0.25
"""Share of the fall still to come that the extrapolation may be off by."""
NEAR = 0.02
"""How far two planned costs may differ and still be the same."""
EXPONENTS = np.linspace(0.05, 2.0, 40)
ACTOR = "dominance"
TASK = "webapp.runs.weigh"


class Curve(NamedTuple):
    """Evaluations of one seed: share of the run that was trained, ascending, and validation loss."""

    progress: Floats
    losses: Floats


@dataclass(frozen=True)
class Course:
    """An arm under way: its planned cost, from which share of the run its curve is of one piece, its seeds."""

    code: str
    cost: float
    since: float
    seeds: Mapping[int, Curve]


class End(NamedTuple):
    """An extrapolated final loss, and how far it may be off by the fit alone."""

    loss: float
    doubt: float


def end(curve: Curve, since: float, until: float) -> End | None:
    """The final loss by a power law `a + b x^-c` through the evaluations of this stretch; None with too few of them."""
    kept = (curve.progress >= since) & (curve.progress <= until + 1e-9) & np.isfinite(curve.losses)
    x, y = curve.progress[kept], curve.losses[kept]
    if x.size < POINTS:
        return None
    basis = x[None, :] ** -EXPONENTS[:, None]
    centred = basis - basis.mean(axis=1, keepdims=True)
    slope = np.maximum(0.0, centred @ (y - y.mean()) / (centred**2).sum(axis=1))
    errors = (((y - y.mean()) - slope[:, None] * centred) ** 2).sum(axis=1)
    best = int(errors.argmin())
    loss = float(y.mean() + slope[best] * (1 - basis[best].mean()))
    return End(loss, float(np.sqrt(errors[best] / x.size)) + DOUBT * max(0.0, float(y[-1]) - loss))


def chance(arm: Course, others: Iterable[Course]) -> float:
    """The chance that no arm of at most this cost ends lower; 1 where too little is known.

    The smallest over the rivals: beating all of them is no likelier than beating the strongest.
    """
    rivals = [other for other in others if other.code != arm.code and other.cost <= arm.cost * (1 + NEAR)]
    return min((_against(arm, rival) for rival in rivals), default=1.0)


def _against(arm: Course, rival: Course) -> float:
    """The chance to end below this rival, by Student's t over the seeds that both have."""
    least = max(EARLIEST, arm.since, rival.since)
    pairs = [(arm.seeds[seed], rival.seeds[seed]) for seed in sorted(arm.seeds.keys() & rival.seeds.keys())]
    reached = [(ours, theirs, min(ours.progress[-1], theirs.progress[-1])) for ours, theirs in pairs]
    told = [(ours, theirs) for ours, theirs, until in reached if until >= least]
    if len(told) < 2:
        return 1.0
    until = min(until for _, _, until in reached if until >= least)
    ends = [(end(ours, arm.since, until), end(theirs, rival.since, until)) for ours, theirs in told]
    known = [(ours, theirs) for ours, theirs in ends if ours is not None and theirs is not None]
    if len(known) < 2:
        return 1.0
    gaps = np.array([ours.loss - theirs.loss for ours, theirs in known])
    fit = np.mean([ours.doubt**2 + theirs.doubt**2 for ours, theirs in known])
    spread = float(np.sqrt((gaps.var(ddof=1) + fit) / gaps.size))
    return float(stats.t.cdf(-gaps.mean() / max(spread, 1e-9), gaps.size - 1))


def courses(experiment: Experiment) -> list[Course]:
    """Every arm of an experiment as far as it has got."""
    arms = {arm.pk: arm for arm in Arm.objects.filter(experiment=experiment).order_by("pk")}
    points: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    rows = Point.objects.filter(series__run__arm__experiment=experiment, series__name="val/loss", finite=True)
    facts = rows.order_by("tokens").values_list("series__run__arm_id", "series__run__seed", "tokens", "value")
    for arm, seed, tokens, value in facts:
        spec = arms[arm].spec
        if value is not None:
            points[arm, seed].append((tokens / (spec.steps() * spec.tokens_per_step), value))
    return [_course(arm, {seed: found for (owner, seed), found in points.items() if owner == arm.pk})
            for arm in arms.values()]  # fmt: skip


def _course(arm: Arm, points: Mapping[int, Sequence[tuple[float, float]]]) -> Course:
    """A method with stages is judged by its last one alone: before it, the curve is that of another network."""
    stages = arm.spec.stages()
    since = 1 - stages[-1].share if len(stages) > 1 else 0.0
    seeds = {seed: Curve(*np.array(found, float).T) for seed, found in points.items()}
    return Course(arm.code, arm.spec.train_flops(), since, seeds)


def stop(experiment: Experiment) -> list[Run]:
    """Pause what is dominated; each run once, so that one which a person resumed goes on to its end."""
    known = courses(experiment)
    paused = []
    for course in known:
        open_ = Run.objects.filter(arm__experiment=experiment, arm__code=course.code).exclude(state__in=TERMINAL)
        if not (runs := list(open_.exclude(events__actor=ACTOR).exclude(pause_requested_at__isnull=False))):
            continue
        if (left := chance(course, known)) < THRESHOLD:
            note = (
                f"paused as dominated: its chance to reach the quality-cost frontier is {left:.1%}; resume it at will"
            )
            paused += [run for run in runs if lifecycle.pause(run, ACTOR, note)]
    return paused


class Spared(NamedTuple):
    """Runs that stand still as dominated, and the hours of a slot that they have not taken."""

    runs: int
    hours: float
    unit: str


def spared(experiment: Experiment) -> Spared:
    """By each run's own pace, or by that of the others of its arm where it never began."""
    still = Q(events__actor=ACTOR, pause_requested_at__isnull=False) & ~Q(state__in=TERMINAL)
    runs = list(Run.objects.filter(still, arm__experiment=experiment).distinct())
    whole: dict[int, list[float]] = defaultdict(list)
    for run in Run.objects.filter(arm__experiment=experiment, progress__gt=0, wall_seconds__gt=0):
        whole[run.arm_id].append(run.wall_seconds / run.progress)
    seconds = sum((1 - run.progress) * float(np.mean(whole[run.arm_id])) for run in runs if whole[run.arm_id])
    return Spared(len(runs), seconds / 3600, "core-hours" if all(run.queue == "cpu" for run in runs) else "GPU-hours")


def weigh() -> int:
    """Judge every experiment that asks for it and still trains; how many runs were paused."""
    training = Experiment.objects.filter(stop_dominated=True, arms__runs__state__in=(State.QUEUED, *ACTIVE))
    return sum(len(stop(experiment)) for experiment in training.distinct())


def reasons(experiment: Experiment) -> list[RunEvent]:
    """Why runs of an experiment were paused, newest first."""
    events = RunEvent.objects.filter(run__arm__experiment=experiment, actor=ACTOR)
    return list(events.select_related("run__arm").order_by("-pk"))


@app.task(name=TASK)
def weigh_task() -> None:
    weigh()
