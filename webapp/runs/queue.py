"""What goes over Redis: wake-ups and nudges. Both are hints; losing one costs a moment, never a run.

Nothing here is called in a request before its transaction commits, and nothing here raises when Redis is away.
"""

from __future__ import annotations

import time
from functools import cache

import redis
from django.conf import settings

from webapp.celery import app

WAKE = "worker.wake"
REAP = "webapp.runs.reap"
DISPATCH = "webapp.runs.dispatch"
SWEEP = "sweep"
"""The queue of the periodic jobs; never the queue of a worker that trains."""
EVENTS = "flopwise:events"
"""Pub/sub channel: codes of runs that have a new event."""
PAUSE_AFTER_ERROR = 10.0


def wake(queue_name: str, count: int = 1) -> None:
    """Ask idle workers of a queue to claim; a wake-up names no run, so it waits behind nobody."""
    for _ in range(count):
        app.send_task(WAKE, args=[queue_name], queue=queue_name, expires=2 * settings.DISPATCH_SECONDS + 1)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)


_silent_until = 0.0


def nudge(code: str) -> None:
    """Tell viewers that a run has news; silent for a while after Redis failed, so that it slows nobody."""
    global _silent_until  # noqa: PLW0603
    if time.monotonic() < _silent_until:
        return
    try:
        _client().publish(EVENTS, code)
    except redis.RedisError:
        _silent_until = time.monotonic() + PAUSE_AFTER_ERROR
