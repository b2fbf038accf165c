"""Why runs wait."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.webapp.runs.conftest import NewRun
from webapp.runs import lifecycle, port, selectors
from webapp.runs.models import Run


@pytest.mark.parametrize(
    ("workers", "reason"),
    [
        (0, "no worker serves the queue cpu"),
        (1, "all 1 workers of the queue cpu are busy"),
        (2, "a worker is being woken"),
    ],
)
def test_a_queued_run_says_what_it_waits_for(lease: port.Lease, new_run: NewRun, workers: int, reason: str) -> None:
    for n in range(workers):
        device = {"device": "cpu", "memory_bytes": 1, "flops_per_second": None, "versions": {}}
        port.register(f"cpu{n}@here", "cpu", device)
    run = new_run(seed=1)
    run.refresh_from_db()
    assert selectors.why_waiting([run]) == {run.pk: reason}


def test_a_paused_run_waits_for_its_people(new_run: NewRun) -> None:
    run = new_run()
    lifecycle.pause(run, "ada")
    assert selectors.why_waiting([Run.objects.get()]) == {run.pk: "paused"}


def test_a_run_that_backs_off_says_why(new_run: NewRun) -> None:
    run = new_run(not_before=timezone.now() + timedelta(seconds=60), attempt=2, failure="signal SIGKILL")
    assert "after attempt 2 ended: signal SIGKILL" in selectors.why_waiting([run])[run.pk]


def test_a_run_that_is_held_does_not_wait(lease: port.Lease) -> None:
    assert selectors.why_waiting(Run.objects.all()) == {}
