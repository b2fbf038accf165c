"""What people do to runs. The only writer of run state outside of `port`: compare-and-set plus an event row."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from webapp.runs import queue
from webapp.runs.models import ACTIVE, TERMINAL, Run, RunEvent, State

REOPENABLE = (State.FAILED, State.CANCELLED, State.QUARANTINED)
ALLOWED: dict[State, tuple[State, ...]] = {
    State.QUEUED: (State.CANCELLED,),
    **{state: (State.QUEUED,) for state in REOPENABLE},
}
"""Moves that people make; all others belong to workers and sweeps."""


def move(run: Run, was: State, now: State, *, actor: str, note: str = "", **changes: Any) -> bool:
    """Compare-and-set a run's state; False means that somebody else moved it first."""
    if now not in ALLOWED.get(was, ()):
        raise ValueError(f"no transition {was} -> {now}")
    if now in TERMINAL:
        changes.setdefault("finished_at", Now())
    with transaction.atomic():
        moved = Run.objects.filter(pk=run.pk, state=was).update(state=now, event_seq=F("event_seq") + 1, **changes)
        if moved:
            RunEvent.objects.create(run=run, was=was, now=now, actor=actor, note=note)
            transaction.on_commit(lambda: queue.nudge(run.code))
    return bool(moved)


def _ask(run: Run, actor: str, note: str, states: tuple[State, ...], **changes: Any) -> bool:
    """Write a request column of a run in one of `states`, with its event; False if it is in none of them."""
    with transaction.atomic():
        asked = Run.objects.filter(pk=run.pk, state__in=states, cancel_requested_at__isnull=True).update(
            event_seq=F("event_seq") + 1, **changes
        )
        if asked:
            RunEvent.objects.create(run=run, actor=actor, note=note)
            transaction.on_commit(lambda: queue.nudge(run.code))
    return bool(asked)


@transaction.atomic
def cancel(run: Run, actor: Any) -> bool:
    """Cancel at once while queued; else ask the holder, who hears it with its next heartbeat. False if it is over."""
    Run.objects.select_for_update().get(pk=run.pk)  # so that it cannot pass from one state to the other in between
    return move(run, State.QUEUED, State.CANCELLED, actor=str(actor), cancel_requested_at=Now()) or _ask(
        run, str(actor), "cancel requested", ACTIVE, cancel_requested_at=Now()
    )


def pause(run: Run, actor: Any, note: str = "pause requested") -> bool:
    """Keep from being claimed; a holder checkpoints and releases the run. False if it is over."""
    return _ask(run, str(actor), note, (State.QUEUED, *ACTIVE), pause_requested_at=Now())


def resume(run: Run, actor: Any) -> bool:
    """Let a paused run be claimed again. False if it is over."""
    return _ask(run, str(actor), "resumed", (State.QUEUED, *ACTIVE), pause_requested_at=None)


def reopen(run: Run, actor: Any) -> bool:
    """Retry a run that failed, was cancelled or was quarantined, from its last checkpoint; False in any other state."""
    fresh: dict[str, Any] = {"cancel_requested_at": None, "pause_requested_at": None, "finished_at": None}
    fresh |= {"fence": F("fence") + 1, "attempts_no_progress": 0, "not_before": Now()}
    fresh |= {"failure": "", "failure_text": ""}
    return any(move(run, was, State.QUEUED, actor=str(actor), note="reopened", **fresh) for was in REOPENABLE)
