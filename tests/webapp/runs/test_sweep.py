"""The reaper and the dispatcher, against the real servers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone

from tests.webapp.runs.conftest import NewRun
from webapp.runs import lifecycle, port, sweep
from webapp.runs.models import Run, State

pytestmark = pytest.mark.django_db


@pytest.fixture
def settled(settings: Any) -> None:
    """PostgreSQL started longer than a lease ago."""
    settings.LEASE_SECONDS = 0.01


def expire(lease: port.Lease, **changes: object) -> None:
    Run.objects.filter(pk=lease.run_id).update(lease_until=timezone.now() - timedelta(seconds=1), **changes)


def state(lease: port.Lease) -> str:
    return Run.objects.get(pk=lease.run_id).state


@pytest.mark.usefixtures("settled")
def test_an_expired_lease_returns_to_the_queue_after_a_pause(lease: port.Lease) -> None:
    expire(lease)
    assert sweep.reap() == [lease.run_id]
    run = Run.objects.get(pk=lease.run_id)
    wait = (run.not_before - timezone.now()).total_seconds()
    assert run.state == State.QUEUED
    assert 7 < wait < 13


@pytest.mark.usefixtures("settled")
def test_a_live_lease_is_left_alone(lease: port.Lease) -> None:
    Run.objects.filter(pk=lease.run_id).update(lease_until=timezone.now() + timedelta(minutes=1))
    assert sweep.reap() == []


def test_nobody_is_reaped_for_one_lease_after_postgres_started(lease: port.Lease, settings: Any) -> None:
    settings.LEASE_SECONDS = 3600.0
    expire(lease)
    assert sweep.reap() == []


@pytest.mark.usefixtures("settled")
def test_a_run_that_was_asked_to_stop_is_cancelled_not_requeued(lease: port.Lease) -> None:
    lifecycle.cancel(Run.objects.get(pk=lease.run_id), "ada")
    expire(lease)
    sweep.reap()
    assert state(lease) == State.CANCELLED


@pytest.mark.usefixtures("settled")
def test_the_third_silent_worker_quarantines(lease: port.Lease) -> None:
    expire(lease, attempts_no_progress=3)
    sweep.reap()
    assert state(lease) == State.QUARANTINED


@pytest.mark.usefixtures("settled")
def test_a_run_that_keeps_crashing_ends_even_with_progress(lease: port.Lease) -> None:
    expire(lease, attempt=50, attempts_no_progress=0)
    sweep.reap()
    assert state(lease) == State.QUARANTINED


def idle_worker(name: str) -> None:
    port.register(name, "cpu", {"device": "cpu", "memory_bytes": 1, "flops_per_second": None, "versions": {}})


def test_as_many_workers_are_woken_as_can_work(new_run: NewRun, settings: Any) -> None:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushall()
    for name in ("cpu-0@here", "cpu-1@here", "cpu-2@here"):
        idle_worker(name)
    for seed in range(3):
        new_run(seed=seed)
    port.claim("cpu", "cpu-2@here")
    assert sweep.dispatch() == 2
    assert client.llen("flopwise:cpu") == 2


def test_paused_runs_wake_nobody(new_run: NewRun) -> None:
    idle_worker("cpu-0@here")
    lifecycle.pause(new_run(), "ada")
    assert sweep.dispatch() == 0


def test_silent_workers_are_not_woken(new_run: NewRun) -> None:
    new_run()
    idle_worker("cpu-0@here")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_worker SET heartbeat_at = now() - interval '1 hour'")
    assert sweep.dispatch() == 0
