"""The periodic jobs: take runs back from dead workers, and wake idle ones. Doubles of both are harmless."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction

from webapp.celery import app
from webapp.runs import queue, statements

REAPER = 7_206_113
"""Number of the advisory lock that keeps reapers out of each other's way."""


def give_back(
    exit_class: str,
    text: str,
    *,
    actor: str,
    run: int | None = None,
    fence: int | None = None,
    signal: int | None = None,
) -> list[int]:
    """Return one broken attempt, or all whose lease ran out, to the queue, quarantine or cancelled; ids of the runs."""
    values = {
        "exit_class": exit_class, "text": text.replace("\0", ""), "note": exit_class, "actor": actor, "signal": signal,
        "most": settings.ATTEMPTS_WITHOUT_PROGRESS, "cap": settings.ATTEMPTS_AT_ALL,
        "backoff": list(settings.BACKOFF_SECONDS), "lease": settings.LEASE_SECONDS, "run": run, "fence": fence,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statements.RETURN, values)
        return [row[0] for row in cursor.fetchall()]


def reap() -> list[int]:
    """Take back the runs whose lease ran out; ids of them."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [REAPER])
        if not cursor.fetchone()[0]:
            return []
        return give_back("worker_lost", "the worker fell silent", actor="reaper")


def dispatch() -> int:
    """Wake idle workers of queues that have claimable runs; how many wake-ups were sent."""
    with connection.cursor() as cursor:
        cursor.execute(statements.DEMAND, {"lease": settings.LEASE_SECONDS})
        demand = cursor.fetchall()
    for name, wakeups in demand:
        queue.wake(name, wakeups)
    return sum(wakeups for _, wakeups in demand)


@app.task(name=queue.REAP)
def reap_task() -> None:
    reap()


@app.task(name=queue.DISPATCH)
def dispatch_task() -> None:
    dispatch()
