"""Finished experiments that a person may see, judged: what method pages and records rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Count, Max, Q, Sum

from webapp.experiments.models import Experiment
from webapp.results import selectors
from webapp.results.comparison import Comparison
from webapp.results.savings import Finding, findings
from webapp.runs.models import TERMINAL, State

NEWEST = 50
"""Experiments that are read at most; a page must answer however many there are."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An experiment none of whose runs will change any more; `at` is when its last run ended."""

    code: str
    title: str
    at: datetime
    comparison: Comparison
    findings: tuple[Finding, ...]


def settled(user: Any) -> tuple[Settled, ...]:
    """Newest first; experiments in which nothing succeeded tell nothing and are left out."""
    runs = "arms__runs"
    rows = (
        Experiment.objects.for_user(user)
        .annotate(
            open=Count(runs, filter=~Q(arms__runs__state__in=TERMINAL)),
            succeeded=Count(runs, filter=Q(arms__runs__state=State.SUCCEEDED)),
            at=Max("arms__runs__finished_at"),
            seq=Sum("arms__runs__event_seq"),
        )
        .filter(open=0, succeeded__gt=0)
        .order_by("-at", "-pk")
        .values_list("pk", "at", "seq")[:NEWEST]
    )
    return tuple(_judged(*row) for row in rows)


@lru_cache(maxsize=2 * NEWEST)
def _judged(experiment: int, at: datetime, seq: int) -> Settled:
    """Judged once per process: a terminal run changes only by being reopened, which raises `seq`."""
    row = Experiment.objects.get(pk=experiment)
    comparison = selectors.comparison(row)
    return Settled(row.code, row.title, at, comparison, findings(comparison))
