"""What people do to runs."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from tests.webapp.runs.conftest import NewRun
from webapp.runs import lifecycle, port
from webapp.runs.models import TERMINAL, Run, RunEvent, State

pytestmark = pytest.mark.django_db


def test_cancelling_a_queued_run_ends_it_at_once(new_run: NewRun) -> None:
    run = new_run()
    assert lifecycle.cancel(run, "ada")
    run.refresh_from_db()
    assert (run.state, run.events.get().actor) == (State.CANCELLED, "ada")


def test_cancelling_a_held_run_asks_its_holder(lease: port.Lease) -> None:
    run = Run.objects.get(pk=lease.run_id)
    assert lifecycle.cancel(run, "ada")
    run.refresh_from_db()
    assert run.state == State.RUNNING
    assert run.cancel_requested_at is not None


def test_cancelling_twice_changes_nothing(new_run: NewRun) -> None:
    run = new_run()
    lifecycle.cancel(run, "ada")
    assert not lifecycle.cancel(run, "ada")
    assert RunEvent.objects.count() == 1


def test_a_paused_run_is_not_claimed_until_it_is_resumed(new_run: NewRun) -> None:
    run = new_run()
    lifecycle.pause(run, "ada")
    assert port.claim("cpu", "cpu-0@here") is None
    lifecycle.resume(run, "ada")
    assert port.claim("cpu", "cpu-0@here") is not None


def test_a_pause_lets_the_holder_release_the_run(lease: port.Lease) -> None:
    lifecycle.pause(Run.objects.get(pk=lease.run_id), "ada")
    assert port.heartbeat(lease).pause
    assert port.release(lease) == State.QUEUED
    assert port.claim("cpu", "cpu-0@here") is None


def test_reopening_raises_the_fence(lease: port.Lease) -> None:
    port.finish(lease, port.Ending(State.FAILED, "diverged", "loss is NaN"))
    run = Run.objects.get(pk=lease.run_id)
    assert lifecycle.reopen(run, "ada")
    run.refresh_from_db()
    assert (run.state, run.fence, run.failure) == (State.QUEUED, lease.fence + 1, "")


def test_a_run_that_succeeded_is_not_reopened(lease: port.Lease) -> None:
    port.finish(lease, port.Ending(State.SUCCEEDED))
    assert not lifecycle.reopen(Run.objects.get(pk=lease.run_id), "ada")


def test_a_move_that_no_person_makes_is_refused(new_run: NewRun) -> None:
    with pytest.raises(ValueError, match="no transition"):
        lifecycle.move(new_run(), State.QUEUED, State.SUCCEEDED, actor="ada")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_cancel_and_finish_at_once_reach_one_terminal_state(lease: port.Lease, round_: int) -> None:
    run, gate = Run.objects.get(pk=lease.run_id), threading.Barrier(2)

    def cancel() -> None:
        gate.wait()
        lifecycle.cancel(run, "ada")
        connections["default"].close()

    other = threading.Thread(target=cancel)
    other.start()
    gate.wait()
    ended = port.finish(lease, port.Ending(State.SUCCEEDED))
    other.join()
    run.refresh_from_db()
    assert run.state == ended
    assert RunEvent.objects.filter(now__in=TERMINAL).count() == 1
