"""What a run will cost: closed forms priced by what the workers measured, corrected by how finished runs turned out."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import exp, log, sqrt

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from scipy.stats import t as student

from training import pace
from training.pace import Pace
from training.spec import RunSpec
from webapp.experiments.models import Forecast
from webapp.runs.models import Run, State, Worker

COVERAGE = 0.9
"""Share of runs that should end within their interval."""
ENOUGH = 5
"""Finished runs from which on their own scatter makes the interval."""
UNKNOWN = 1.5
"""Without them: from 1/1.5 of the forecast to 1.5 times it, an assumption and shown as one."""
DOUBT = 3
"""The price list weighs as much as so many finished runs."""
RECENT = 200
HELD_OUT = 64
"""Sequences of an evaluation."""
SCORED: Mapping[str, int] = {"cloze": 34_000, "choice": 56_000, "probe": 70_000}
"""Tokens that a downstream task reads of the shipped text; of other texts about as many."""


@dataclass(frozen=True)
class Range:
    """Seconds: the forecast and the 90 % interval around it."""

    low: float
    mid: float
    high: float


@dataclass(frozen=True)
class Experience:
    """How finished runs turned out against the price list alone: natural logs of actual over forecast seconds."""

    logs: tuple[float, ...] = ()

    @property
    def bias(self) -> float:
        """Their median, drawn towards no bias while they are few."""
        count = len(self.logs)
        return statistics.median(self.logs) * count / (count + DOUBT) if count else 0.0

    @property
    def spread(self) -> float:
        """Half the interval's width in logs: of the next run, by Student's t around what was seen."""
        count = len(self.logs)
        if count < ENOUGH:
            return log(UNKNOWN)
        around = sqrt(statistics.fmean((value - self.bias) ** 2 for value in self.logs) * count / (count - 1))
        return float(student.ppf((1 + COVERAGE) / 2, count - 1)) * around * sqrt(1 + 1 / count)

    def of(self, seconds: float) -> Range:
        middle = seconds * exp(self.bias)
        return Range(middle / exp(self.spread), middle, middle * exp(self.spread))


@dataclass(frozen=True)
class RunForecast:
    """One run, on the mean worker of its queue; seconds are None until a worker has measured itself."""

    flops: float
    unlearnt: float | None = None
    training: Range | None = None
    evaluation: float | None = None
    startup: float | None = None
    kwh: float | None = None
    money: float | None = None
    history: int = 0

    @property
    def occupied(self) -> Range | None:
        """Seconds that it holds a worker: start-up, training, evaluation and scoring."""
        if self.training is None:
            return None
        rest = (self.evaluation or 0.0) + (self.startup or 0.0)
        return Range(self.training.low + rest, self.training.mid + rest, self.training.high + rest)


@dataclass(frozen=True)
class Bench:
    """The workers of a queue that have measured themselves, and what finished runs taught about their devices."""

    queue: str
    workers: tuple[Worker, ...]
    experience: Mapping[tuple[str, str], Experience]
    """By device and family, and by device alone under the empty family."""

    @classmethod
    def of(cls, queue: str) -> Bench:
        measured = tuple(alive(queue).filter(pace__isnull=False).order_by("name"))
        devices = {worker.device for worker in measured}
        return cls(queue, measured, experienced(devices))

    def forecast(self, spec: RunSpec) -> RunForecast:
        """Of one run: the mean over the workers, as wide as the widest of them."""
        priced = [(worker, price) for worker in self.workers if (price := pace.pace_of(worker.pace))]
        if not priced:
            return RunForecast(spec.train_flops())
        alone = [pace.training(spec, price) for _, price in priced]
        learnt = [self._experience(worker.device, family(spec)) for worker, _ in priced]
        ranges = [past.of(seconds) for past, seconds in zip(learnt, alone, strict=True)]
        known = [exp(past.bias) for past in learnt]
        judged = [judging(spec, price) * by for (_, price), by in zip(priced, known, strict=True)]
        found = RunForecast(
            spec.train_flops(),
            statistics.fmean(alone),
            Range(
                min(each.low for each in ranges),
                statistics.fmean(each.mid for each in ranges),
                max(each.high for each in ranges),
            ),
            statistics.fmean(judged),
            statistics.fmean(worker.startup_seconds or 0.0 for worker, _ in priced),
            history=min(len(past.logs) for past in learnt),
        )
        return billed(found, self.queue)

    def _experience(self, device: str, kind: str) -> Experience:
        """Of this family where enough of it ran, else of everything on the device."""
        own = self.experience.get((device, kind), Experience())
        return own if len(own.logs) >= ENOUGH else self.experience.get((device, ""), Experience())


def alive(queue: str = "") -> QuerySet[Worker]:
    """Workers heard within a lease, of one queue or of all."""
    workers = Worker.objects.filter(heartbeat_at__gt=Now() - timedelta(seconds=settings.LEASE_SECONDS))
    return workers.filter(queue=queue) if queue else workers


def family(spec: RunSpec) -> str:
    """What errs alike: the architecture and how it is computed."""
    return f"{spec.shape.family} {spec.precision}{' compiled' if spec.compile else ''}"


def judging(spec: RunSpec, price: Pace) -> float:
    """Seconds of the evaluations on the way, and of scoring the finished model."""
    sequences = HELD_OUT * (spec.eval_points + 2) + sum(SCORED.get(name, 0) for name in spec.evals) / spec.length
    return pace.forward(spec, price, sequences=round(sequences))


def experienced(devices: Iterable[str]) -> dict[tuple[str, str], Experience]:
    """What the latest finished runs on these devices taught."""
    rows = (
        Forecast.objects.filter(run__state=State.SUCCEEDED, run__wall_seconds__gt=0, unlearnt__gt=0)
        .filter(run__environment__device__in=list(devices))
        .order_by("-run__finished_at")
        .values_list("run__environment__device", "family", "run__wall_seconds", "unlearnt")
    )
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for device, kind, actual, alone in rows[:RECENT]:
        for key in ((device, kind), (device, "")):
            found[key].append(log(actual / (alone or actual)))
    return {key: Experience(tuple(logs)) for key, logs in found.items()}


def billed(found: RunForecast, queue: str) -> RunForecast:
    """With energy and money, as far as rates are set for the queue."""
    assert found.occupied is not None
    hours = found.occupied.mid / 3600
    watts, hourly = settings.POWER_WATTS.get(queue), settings.PRICE_PER_HOUR.get(queue)
    kwh = None if watts is None else hours * watts / 1000
    parts = [
        None if kwh is None or settings.PRICE_PER_KWH is None else kwh * settings.PRICE_PER_KWH,
        None if hourly is None else hours * hourly,
    ]
    priced = [part for part in parts if part is not None]
    return replace(found, kwh=kwh, money=sum(priced) if priced else None)


def store(runs: Iterable[Run], queue: str) -> None:
    """Keep the forecast of each of these new runs, as it is now, to be held against what it will have cost."""
    bench = Bench.of(queue)
    runs = list(runs)
    arms = {run.arm_id: run.arm for run in runs}
    made = {key: bench.forecast(arm.spec) for key, arm in arms.items()}
    Forecast.objects.bulk_create([row(run, run.arm.spec, made[run.arm_id]) for run in runs])


def row(run: Run, spec: RunSpec, found: RunForecast) -> Forecast:
    span = found.training
    return Forecast(
        run=run,
        family=family(spec),
        flops=found.flops,
        unlearnt=found.unlearnt,
        seconds=span.mid if span else None,
        low=span.low if span else None,
        high=span.high if span else None,
        evaluation=found.evaluation,
        startup=found.startup,
        kwh=found.kwh,
        money=found.money,
        history=found.history,
    )
