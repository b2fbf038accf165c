"""The queue as people see it: runs in claim order with reasons, workers with what they run."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Case, Count, When
from django.utils import timezone

from webapp.runs import selectors
from webapp.runs.models import ACTIVE, Run, RunQuerySet, State, Worker


@dataclass(frozen=True)
class Slot:
    """A worker, for how many seconds it has been silent, and the run it holds."""

    worker: Worker
    silent: float
    run: Run | None

    @property
    def heard(self) -> bool:
        return self.silent < float(settings.LEASE_SECONDS)


def in_claim_order(runs: RunQuerySet) -> RunQuerySet:
    """Queued runs as workers would claim them: priority, the project with the fewest running runs, age."""
    project = "arm__experiment__project"
    busy = Run.objects.filter(state__in=ACTIVE).values_list(project).annotate(Count("pk")).order_by()
    return (
        runs.filter(state=State.QUEUED)
        .annotate(beside=Case(*(When(**{project: key}, then=running) for key, running in busy), default=0))
        .order_by("-priority", "beside", "pk")
        .select_related("arm__experiment__project")
    )


def line(runs: RunQuerySet) -> list[tuple[Run, str]]:
    """Waiting runs in claim order, each with the reason that it waits."""
    waiting = list(in_claim_order(runs)[: settings.QUEUE_SHOWN])
    reasons = selectors.why_waiting(waiting)
    return [(run, reasons[run.pk]) for run in waiting]


def slots() -> list[Slot]:
    """All workers, by queue and name."""
    now = timezone.now()
    holding = {run.lease_owner: run for run in Run.objects.filter(state__in=ACTIVE).select_related("arm__experiment")}
    return [
        Slot(worker, max(0.0, (now - worker.heartbeat_at).total_seconds()), holding.get(worker.name))
        for worker in Worker.objects.order_by("queue", "name")
    ]
