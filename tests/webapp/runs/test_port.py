"""What workers may do to the database, against the real one."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from tests.webapp.runs.conftest import NewRun
from training.records import CostLine, Point, Purpose, Score
from webapp.runs import lifecycle, port
from webapp.runs.models import Attempt, Run, RunEvent, State, Worker
from webapp.runs.models import CostLine as StoredLine
from webapp.runs.models import Point as StoredPoint

pytestmark = pytest.mark.django_db


def point(step: int, value: float = 1.0, name: str = "loss") -> Point:
    return Point("train", name, step, value, flops=step * 10.0, tokens=step * 8, seconds=step * 0.1)


def line(executed: float, purpose: Purpose = Purpose.TRAIN, phase: str = "train") -> CostLine:
    return CostLine(phase, purpose, executed, executed, executed / 100, int(executed), int(executed))


def expire(lease: port.Lease) -> None:
    Run.objects.filter(pk=lease.run_id).update(lease_until=timezone.now() - timedelta(seconds=1))


def take_over(lease: port.Lease) -> port.Lease:
    """The old holder crashes and another worker claims."""
    port.crashed(lease, "killed", "", signal=9)
    Run.objects.filter(pk=lease.run_id).update(not_before=timezone.now())
    other = port.claim("cpu", "cpu-1@here")
    assert other is not None
    return other


def spent(run_id: int) -> dict[str, float]:
    return {f"{row.phase}/{row.purpose}": row.executed for row in StoredLine.objects.filter(run_id=run_id)}


def test_a_claim_takes_the_lease_and_counts_the_attempt(new_run: NewRun) -> None:
    run = new_run()
    assert port.claim("cpu", "cpu-0@here") is not None
    run.refresh_from_db()
    assert (run.state, run.fence, run.attempt, run.lease_owner) == (State.STARTING, 1, 1, "cpu-0@here")


def test_an_empty_queue_gives_nothing(new_run: NewRun) -> None:
    new_run(queue="gpu")
    assert port.claim("cpu", "cpu-0@here") is None


def test_a_higher_priority_goes_first(new_run: NewRun) -> None:
    new_run(seed=0)
    urgent = new_run(seed=1, priority=5)
    held = port.claim("cpu", "cpu-0@here")
    assert held is not None
    assert held.run_id == urgent.pk


def test_a_project_with_fewer_running_runs_goes_first(new_run: NewRun) -> None:
    for seed in range(3):
        new_run("greedy", seed)
    late = new_run("modest")
    port.claim("cpu", "cpu-0@here")
    held = port.claim("cpu", "cpu-1@here")
    assert held is not None
    assert held.run_id == late.pk


def test_a_run_that_backs_off_is_not_claimed(new_run: NewRun) -> None:
    new_run(not_before=timezone.now() + timedelta(minutes=1))
    assert port.claim("cpu", "cpu-0@here") is None


@pytest.mark.django_db(transaction=True)
def test_of_fifty_claims_at_once_exactly_one_wins(new_run: NewRun) -> None:
    new_run()

    def try_claim(n: int) -> bool:
        try:
            return port.claim("cpu", f"cpu-{n}@here") is not None
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_claim, range(50))) == 1


def test_a_heartbeat_extends_the_lease(lease: port.Lease) -> None:
    expire(lease)
    port.heartbeat(lease)
    assert Run.objects.filter(lease_until__gt=timezone.now() + timedelta(seconds=30)).exists()


def test_the_heartbeat_carries_cancel_and_pause(lease: port.Lease) -> None:
    run = Run.objects.get(pk=lease.run_id)
    assert not port.heartbeat(lease).stop
    lifecycle.pause(run, "ada")
    lifecycle.cancel(run, "ada")
    assert port.heartbeat(lease) == port.Orders(cancel=True, pause=True, drain=False)


def test_an_older_fence_may_not_write(lease: port.Lease) -> None:
    take_over(lease)
    for write in (
        lambda: port.record(lease, [point(1)], []),
        lambda: port.heartbeat(lease),
        lambda: port.rewind(lease, 0, []),
        lambda: port.register_checkpoint(lease, port.Checkpoint("train", "x", 1, 0)),
        lambda: port.finish(lease, port.Ending(State.SUCCEEDED)),
        lambda: port.release(lease),
    ):
        with pytest.raises(port.Fenced):
            write()
    assert not port.crashed(lease, "killed", "")
    assert not StoredPoint.objects.exists()


def test_storing_a_batch_twice_stores_it_once(lease: port.Lease) -> None:
    for _ in range(2):
        port.record(lease, [point(1), point(2)], [line(10)])
    assert StoredPoint.objects.count() == 2
    assert spent(lease.run_id) == {"train/train": 10}


def test_event_numbers_have_no_gap(lease: port.Lease) -> None:
    first = port.record(lease, [point(1)], [])
    assert [port.record(lease, [point(step)], []) for step in (2, 3)] == [first + 1, first + 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_stored_as_nothing(lease: port.Lease, value: float) -> None:
    port.record(lease, [point(1, value)], [])
    stored = StoredPoint.objects.get()
    assert (stored.value, stored.finite) == (None, False)


def test_a_resume_supersedes_what_came_after_the_checkpoint(lease: port.Lease) -> None:
    kept = port.record(lease, [point(1), point(2)], [])
    port.record(lease, [point(3), point(4)], [])
    other = take_over(lease)
    port.rewind(other, kept, [])
    assert [row.step for row in StoredPoint.objects.order_by("step")] == [1, 2]
    port.record(other, [point(3)], [])
    assert [row.step for row in StoredPoint.objects.order_by("step")] == [1, 2, 3]


def test_lost_work_is_booked_redone(lease: port.Lease) -> None:
    port.record(lease, [point(1)], [line(100), line(7, Purpose.EVAL)])
    port.rewind(take_over(lease), 0, [line(60), line(5, Purpose.EVAL)])
    assert spent(lease.run_id) == {"train/train": 60, "train/eval": 5, "train/redone": 42}


def test_any_number_of_crashes_shrinks_no_bill(lease: port.Lease) -> None:
    holder, kept = lease, [line(0)]
    port.record(holder, [], [line(100)])
    for total in (110, 115):
        holder = take_over(holder)
        port.rewind(holder, 0, kept)
        port.rewind(holder, 0, kept)  # died at once, and again
        kept = [line(total - 40)]
        port.record(holder, [point(1)], [line(total)])
        port.register_checkpoint(holder, port.Checkpoint("train", f"at-{total}", total, 0))
    port.rewind(take_over(holder), 0, kept)
    assert spent(lease.run_id) == {"train/train": 75, "train/redone": 100 + (110 - 70) + (115 - 75)}


def test_a_phase_that_is_lost_whole_is_redone_whole(lease: port.Lease) -> None:
    port.record(lease, [], [line(50), line(20, phase="tune")])
    port.rewind(take_over(lease), 0, [line(50)])
    assert spent(lease.run_id) == {"train/train": 50, "tune/redone": 20}


def test_a_checkpoint_forgives_earlier_attempts(lease: port.Lease) -> None:
    port.register_checkpoint(lease, port.Checkpoint("train", "a/b", 10, 0))
    run = Run.objects.get(pk=lease.run_id)
    assert (run.attempts_no_progress, run.checkpoint_step) == (0, 10)


def test_registering_a_checkpoint_twice_registers_it_once(lease: port.Lease) -> None:
    for _ in range(2):
        port.register_checkpoint(lease, port.Checkpoint("train", "a/b", 10, 0))
    assert len(port.checkpoints(lease)) == 1


def test_two_checkpoints_of_a_name_are_kept(lease: port.Lease) -> None:
    needless = [port.register_checkpoint(lease, port.Checkpoint("train", f"at/{n}", n, 0)) for n in range(4)]
    assert needless == [[], [], ["at/0"], ["at/1"]]
    assert [saved.step for saved in port.checkpoints(lease)] == [3, 2]


def test_finish_stores_totals_and_scores(lease: port.Lease) -> None:
    port.record(lease, [point(1)], [line(100), line(30, Purpose.EVAL)])
    assert port.finalize(lease)
    score = Score("cloze", "acc", "test", 0.5, 0.1, 25, 1, higher_is_better=True)
    assert port.finish(lease, port.Ending(State.SUCCEEDED, scores=[score], final_loss=2.5)) == State.SUCCEEDED
    run = Run.objects.get(pk=lease.run_id)
    assert (run.executed_flops, run.final_loss, run.lease_until) == (100, 2.5, None)
    assert run.scores.get().value == 0.5


def test_a_cancelled_run_has_no_last_words(lease: port.Lease) -> None:
    lifecycle.cancel(Run.objects.get(pk=lease.run_id), "ada")
    assert port.finish(lease, port.Ending(State.SUCCEEDED, notes=["all is well"])) == State.CANCELLED
    assert not RunEvent.objects.filter(note="all is well").exists()


def test_a_finished_run_has_no_way_out(lease: port.Lease) -> None:
    port.finish(lease, port.Ending(State.FAILED, "diverged"))
    with pytest.raises(port.Fenced):
        port.finish(lease, port.Ending(State.SUCCEEDED))
    assert RunEvent.objects.filter(now__in=["failed", "succeeded"]).count() == 1


def test_a_cancel_before_scoring_wins_over_the_finish(lease: port.Lease) -> None:
    lifecycle.cancel(Run.objects.get(pk=lease.run_id), "ada")
    assert not port.finalize(lease)
    assert port.finish(lease, port.Ending(State.SUCCEEDED)) == State.CANCELLED


def test_a_cancel_after_scoring_began_comes_too_late(lease: port.Lease) -> None:
    port.finalize(lease)
    lifecycle.cancel(Run.objects.get(pk=lease.run_id), "ada")
    assert port.finish(lease, port.Ending(State.SUCCEEDED)) == State.SUCCEEDED


def test_a_released_attempt_does_not_count(lease: port.Lease) -> None:
    assert port.release(lease) == State.QUEUED
    run = Run.objects.get(pk=lease.run_id)
    assert (run.attempts_no_progress, run.lease_owner) == (0, "")
    assert port.claim("cpu", "cpu-1@here") is not None


def test_three_crashes_without_progress_quarantine(lease: port.Lease) -> None:
    holder = take_over(take_over(lease))
    port.crashed(holder, "killed", "boom", signal=9)
    run = Run.objects.get(pk=lease.run_id)
    assert (run.state, run.attempt, run.failure) == (State.QUARANTINED, 3, "killed")
    assert Attempt.objects.filter(signal=9, ended_at__isnull=False).count() == 3


def test_a_draining_worker_hears_it(lease: port.Lease) -> None:
    port.register("cpu-0@here", "cpu", {"device": "cpu", "memory_bytes": 1, "flops_per_second": 1e9, "versions": {}})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_worker SET draining = true")
    assert port.heartbeat(lease).drain


def test_a_draining_worker_claims_nothing_until_it_is_taken_back(new_run: NewRun) -> None:
    new_run()
    Worker.objects.create(name="cpu-0@here", queue="cpu", device="cpu", draining=True)
    assert port.claim("cpu", "cpu-0@here") is None
    Worker.objects.update(draining=False)
    assert port.claim("cpu", "cpu-0@here") is not None
