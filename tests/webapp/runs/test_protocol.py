"""The run protocol under any order of claims, deaths, late writes, reaping and wishes, on a real PostgreSQL.

The mutants at the end take one guard each out of the SQL: the orders that the machine tries must find every one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import lists, sampled_from

from tests.webapp.runs.conftest import NewRun
from training.records import CostLine, Point, Purpose
from webapp.codes import new_code
from webapp.runs import lifecycle, port, statements, sweep
from webapp.runs.models import ACTIVE, TERMINAL, Attempt, Run, RunEvent, State, Worker

WORKERS = ("cpu0@a", "cpu0@b")
HOUR = timedelta(hours=1)
DEEDS = ("start", "heartbeat", "record", "save", "finalize", "finish", "fail", "release", "crash")


class Protocol(RuleBasedStateMachine):
    """One run in a queue of its own. Who was ever given a lease may come back with it at any later time."""

    new_run: NewRun
    leases: Bundle[port.Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.queue = new_code()
        self.before = self.new_run(project=self.queue, queue=self.queue)
        self.fence = self.seq = 0
        for name in WORKERS:
            Worker.objects.create(name=name, queue=self.queue, heartbeat_at=timezone.now())

    def teardown(self) -> None:
        try:
            self.history_makes_sense()
        finally:
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    def history_makes_sense(self) -> None:
        """Nothing but reopening leads out of a terminal state, and each attempt has a fence of its own."""
        moves = RunEvent.objects.filter(run=self.before, was__in=TERMINAL).exclude(now="")
        assert all(event.note == "reopened" and event.now == State.QUEUED for event in moves)
        fences = list(Attempt.objects.filter(run=self.before).order_by("n").values_list("fence", flat=True))
        assert fences == sorted(set(fences))

    def rows(self) -> QuerySet[Run]:
        return Run.objects.filter(pk=self.before.pk)

    def active(self) -> bool:
        return self.before.state in ACTIVE

    def queued(self) -> bool:
        return self.before.state == State.QUEUED

    def over(self) -> bool:
        return self.before.state in TERMINAL

    @initialize(target=leases)
    def first_claim(self) -> port.Lease:
        lease = port.claim(self.queue, WORKERS[0])
        assert lease is not None
        return self.extended(lease)

    @rule(target=leases, worker=sampled_from(WORKERS))
    def claim(self, worker: str) -> Any:
        lease = port.claim(self.queue, worker)
        due = self.queued() and self.before.not_before <= timezone.now()
        assert (lease is not None) == (due and not self.before.pause_requested_at)
        return multiple() if lease is None else self.extended(lease)

    def extended(self, lease: port.Lease) -> port.Lease:
        """Leases end here by rule, not by the clock."""
        self.rows().update(lease_until=timezone.now() + HOUR)
        return lease

    @precondition(active)
    @rule(target=leases, worker=sampled_from(WORKERS), former=leases)
    def take_over(self, worker: str, former: port.Lease) -> Any:
        """The lease runs out, the run is reaped and claimed anew, and a former holder still believes in its own."""
        self.lease_runs_out()
        self.look()
        self.reap()
        self.back_off_is_over()
        self.look()
        lease = self.claim(worker)
        self.look()
        for deed in DEEDS:
            self.act(former, deed)
        return lease

    @precondition(queued)
    @rule(worker=sampled_from(WORKERS), obstacle=sampled_from(("paused", "backing off", "draining")))
    def claim_in_vain(self, worker: str, obstacle: str) -> None:
        """One obstacle alone keeps a run from being claimed."""
        before = transaction.savepoint()
        self.rows().update(
            pause_requested_at=timezone.now() if obstacle == "paused" else None,
            not_before=timezone.now() + (HOUR if obstacle == "backing off" else -HOUR),
        )
        Worker.objects.filter(name=worker).update(draining=obstacle == "draining")
        assert port.claim(self.queue, worker) is None
        transaction.savepoint_rollback(before)

    @precondition(active)
    @rule(cancelled_before=sampled_from(("start", "finalize", "finish")))
    def cancel_comes_before(self, cancelled_before: str) -> None:
        """At any moment of what would be a success."""
        before, lease = transaction.savepoint(), port.held(self.before.pk, self.before.fence)
        for deed in ("start", "finalize", "finish"):
            if deed == cancelled_before:
                lifecycle.cancel(self.before, "ada")
            self.look()
            self.act(lease, deed)
        transaction.savepoint_rollback(before)

    @rule(lease=leases, deeds=lists(sampled_from(DEEDS), min_size=1, max_size=4))
    def work(self, lease: port.Lease, deeds: list[str]) -> None:
        for deed in deeds:
            self.act(lease, deed)
            self.look()

    def act(self, lease: port.Lease, deed: str) -> None:
        """Something is done under a lease, which may be long lost: then nothing of it is accepted."""
        before, held = self.before, self.active() and self.before.fence == lease.fence
        try:
            accepted = self.do(deed, lease)
        except port.Fenced:
            accepted = False
        assert accepted == held, deed
        if not held:
            after = self.rows().get()
            assert (after.state, after.event_seq, after.fence) == (before.state, before.event_seq, before.fence)
            assert after.lease_until == before.lease_until

    def do(self, deed: str, lease: port.Lease) -> bool:
        was, cancelled = self.before.state, self.before.cancel_requested_at is not None
        match deed:
            case "start":
                port.start(lease, {})
            case "heartbeat":
                port.heartbeat(lease)
                self.extended(lease)
            case "record":
                point = Point("train", "train/loss", 1, 1.0, 1.0, 1, 1.0)
                port.record(lease, [point], [CostLine("train", Purpose.TRAIN, 1.0, 1.0, 1.0)], 0.5)
            case "save":
                port.register_checkpoint(lease, port.Checkpoint("train", new_code(), 1, 0))
            case "finalize":
                in_time = was == State.FINALIZING or (was == State.RUNNING and not cancelled)
                assert port.finalize(lease) == in_time
            case "finish":
                ended = port.finish(lease, port.Ending(State.SUCCEEDED))
                in_time = cancelled and was != State.FINALIZING
                assert ended == (State.CANCELLED if in_time else State.SUCCEEDED)
            case "fail":
                port.finish(lease, port.Ending(State.FAILED, "error", "it broke"))
            case "release":
                assert port.release(lease) == (State.CANCELLED if cancelled else State.QUEUED)
            case "crash":
                return port.crashed(lease, "signal SIGKILL", "killed")
            case _:
                raise AssertionError(deed)
        return True

    @precondition(active)
    @rule()
    def lease_runs_out(self) -> None:
        self.rows().filter(state__in=ACTIVE).update(lease_until=timezone.now() - HOUR)

    @rule()
    def reap(self) -> None:
        until = self.before.lease_until
        dead = self.active() and until is not None and until < timezone.now()
        assert (self.before.pk in sweep.reap()) == dead

    @precondition(queued)
    @rule()
    def back_off_is_over(self) -> None:
        self.rows().update(not_before=timezone.now() - HOUR)

    @rule(wish=sampled_from((lifecycle.pause, lifecycle.resume, lifecycle.resume, lifecycle.cancel)))
    def wish(self, wish: Any) -> None:
        assert not (wish(self.before, "ada") and self.over())

    @precondition(over)
    @rule()
    def reopen(self) -> None:
        assert lifecycle.reopen(self.before, "ada") == (self.before.state != State.SUCCEEDED)

    @invariant()
    def one_truth(self) -> None:
        self.look()
        run = self.before
        assert (run.state in ACTIVE) == (run.lease_until is not None)
        assert run.fence >= self.fence
        assert run.event_seq >= self.seq
        self.fence, self.seq = run.fence, run.event_seq
        assert run.attempts_no_progress <= 3

    def look(self) -> None:
        self.before = self.rows().get()


def try_orders(new_run: NewRun, **effort: Any) -> None:
    """Always the same orders."""
    machine = type("Case", (Protocol,), {"new_run": staticmethod(new_run)})
    always = settings(
        max_examples=60, stateful_step_count=20, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=settings(always, **effort))


@pytest.fixture(autouse=True)
def _quick(settings: Any) -> None:
    settings.LEASE_SECONDS, settings.BACKOFF_SECONDS = 0.001, [60.0]


@pytest.mark.django_db
def test_no_order_of_events_breaks_the_protocol(new_run: NewRun) -> None:
    try_orders(new_run)


GUARDS = [
    ("CLAIM", "fence = fence + 1, "),
    ("CLAIM", "AND run.pause_requested_at IS NULL"),
    ("CLAIM", "run.state = 'queued' AND "),
    ("CLAIM", "AND run.not_before <= clock_timestamp()"),
    ("CLAIM", "AND NOT EXISTS (SELECT 1 FROM runs_worker WHERE name = %(worker)s AND draining)"),
    ("HEARTBEAT", "AND fence = %(fence)s "),
    ("HEARTBEAT", "AND state IN ('starting', 'running', 'finalizing')"),
    ("RAISE_SEQ", "AND fence = %(fence)s "),
    ("RAISE_SEQ", "AND state IN ('starting', 'running', 'finalizing')"),
    ("FINISH", "AND fence = %(fence)s "),
    ("FINISH", "AND state IN ('starting', 'running', 'finalizing')"),
    ("FINISH", "AND held.was <> 'finalizing'"),
    ("RELEASE", "AND fence = %(fence)s "),
    ("RELEASE", "AND state IN ('starting', 'running', 'finalizing')"),
    ("RETURN", "AND fence = %(fence)s"),
    ("RETURN", "lease_until < clock_timestamp()\n            AND "),
    ("RETURN", "state IN ('starting', 'running', 'finalizing') AND "),
    ("RETURN", "attempts_no_progress >= %(most)s OR"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("statement", "guard"), GUARDS)
def test_the_machine_finds_a_removed_guard(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, statement: str, guard: str
) -> None:
    text = getattr(statements, statement)
    assert guard in text
    monkeypatch.setattr(statements, statement, text.replace(guard, ""))
    with pytest.raises((AssertionError, DatabaseError)):
        try_orders(new_run, phases=[Phase.generate])
