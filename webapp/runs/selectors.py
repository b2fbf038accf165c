"""Reads of runs for pages and streams. None of them holds a lock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count
from django.utils import timezone

from webapp.runs import statements
from webapp.runs.models import ACTIVE, Run, State

MOST_POINTS = 5000
"""Points of one answer; more than a batch, so that an answer always holds at least one whole event."""


def delta(run_id: int, after: int) -> dict[str, Any]:
    """What happened to a run since event `after`: its state and the points since, in order of their events.

    `seq` is the cursor for the next call; `more` says that a next call has more already. `reset` says that a resume
    rewrote the curves, and that these points are to replace what was drawn before.
    """
    run = Run.objects.get(pk=run_id)
    reset = 0 < after < run.rewound_seq
    start = 0 if reset or after < 0 or after > run.event_seq else after
    with connection.cursor() as cursor:
        cursor.execute(statements.SINCE, {"run": run_id, "after": start, "upto": run.event_seq, "most": MOST_POINTS})
        rows = cursor.fetchall()
    more = len(rows) == MOST_POINTS
    if more:
        rows = [row for row in rows if row[0] < rows[-1][0]]  # the last event may be cut in two
    names = ("phase", "name", "step", "value", "flops", "tokens", "seconds")
    return {
        "seq": rows[-1][0] if more else run.event_seq,
        "more": more,
        "reset": reset,
        "state": run.state,
        "phase": run.phase,
        "step": run.step,
        "progress": run.progress,
        "attempt": run.attempt,
        "points": [dict(zip(names, row[1:], strict=True)) for row in rows],
    }


def news(run_ids: Iterable[int]) -> dict[int, int]:
    """The event number of each of these runs."""
    return dict(Run.objects.filter(pk__in=list(run_ids)).values_list("pk", "event_seq"))


def why_waiting(runs: Iterable[Run]) -> dict[int, str]:
    """For each queued run, by id, the one reason that it does not run yet."""
    with connection.cursor() as cursor:
        cursor.execute(statements.ALIVE, {"lease": settings.LEASE_SECONDS})
        workers = dict(cursor.fetchall())
    held = Run.objects.filter(state__in=ACTIVE).values_list("queue").annotate(Count("pk"))
    busy: dict[str, int] = dict(held.order_by())
    return {run.pk: _reason(run, workers, busy) for run in runs if run.state == State.QUEUED}


def _reason(run: Run, workers: dict[str, int], busy: dict[str, int]) -> str:
    if run.pause_requested_at:
        return "paused"
    if (wait := (run.not_before - timezone.now()).total_seconds()) > 0:
        return f"waits {wait:.0f} s after attempt {run.attempt} ended: {run.failure}"
    if not workers.get(run.queue):
        return f"no worker serves the queue {run.queue}"
    if busy.get(run.queue, 0) >= workers[run.queue]:
        return f"all {workers[run.queue]} workers of the queue {run.queue} are busy"
    return "a worker is being woken"
