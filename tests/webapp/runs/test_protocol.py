"""The run protocol under any order of claims, deaths, late writes, reaping and wishes, on a real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import sampled_from

from tests.webapp.runs.conftest import NewRun
from training.records import CostLine, Point, Purpose
from webapp.codes import new_code
from webapp.runs import lifecycle, port, sweep
from webapp.runs.models import ACTIVE, TERMINAL, Attempt, Run, RunEvent, State

WORKERS = ("cpu0@a", "cpu0@b")
HOUR = timedelta(hours=1)
ENDS = ("finish", "fail", "release", "crash")
MATURE = 25
"""Steps before a run may end for good, so that most of an example is not spent on a finished run."""


class Protocol(RuleBasedStateMachine):
    """One run in a queue of its own, two workers that may sleep through their lease and come back."""

    new_run: NewRun

    @initialize()
    def queue_a_run(self) -> None:
        self.queue = new_code()
        self.pk = type(self).new_run(project=self.queue, queue=self.queue).pk
        self.leases: dict[str, port.Lease] = {}
        self.ended_at_fence: dict[int, str] = {}
        self.fence = self.seq = self.age = 0

    def run(self) -> Run:
        return Run.objects.get(pk=self.pk)

    def holds(self, lease: port.Lease) -> bool:
        run = self.run()
        return run.state in ACTIVE and run.fence == lease.fence

    @rule(worker=sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        before = self.run()
        lease = port.claim(self.queue, worker)
        claimable = (
            before.state == State.QUEUED and not before.pause_requested_at and before.not_before <= timezone.now()
        )
        assert (lease is not None) == claimable
        if lease is not None:
            self.leases[worker] = lease
            Run.objects.filter(pk=self.pk).update(lease_until=timezone.now() + HOUR)

    @rule(worker=sampled_from(WORKERS), deed=sampled_from(("start", "heartbeat", "record", "save", "crash")))
    def act(self, worker: str, deed: str) -> None:
        """A worker does something under its lease, which may be long lost: then nothing of it is accepted."""
        if (lease := self.leases.get(worker)) is None:
            return
        held, before = self.holds(lease), self.run()
        try:
            accepted = self.do(deed, lease)
        except port.Fenced:
            accepted = False
        assert accepted == held, deed
        if not held:
            after = self.run()
            assert (after.state, after.event_seq, after.fence) == (before.state, before.event_seq, before.fence)
            assert after.lease_until == before.lease_until
        elif deed in ENDS:
            del self.leases[worker]

    @rule(worker=sampled_from(WORKERS), deed=sampled_from(ENDS))
    def end(self, worker: str, deed: str) -> None:
        """A late end of somebody who lost the run is refused; a rightful one comes when the run has seen something."""
        lease = self.leases.get(worker)
        if lease is not None and (self.age > MATURE or not self.holds(lease)):
            self.act(worker, deed)

    @rule(worker=sampled_from(WORKERS))
    def take_over(self, worker: str) -> None:
        """The lease runs out, the run is reaped and claimed anew, while its former holder still believes in it."""
        self.lease_runs_out()
        self.reap()
        self.back_off_is_over()
        self.claim(worker)

    def do(self, deed: str, lease: port.Lease) -> bool:
        match deed:
            case "start":
                port.start(lease, {})
            case "heartbeat":
                port.heartbeat(lease)
                Run.objects.filter(pk=self.pk, fence=lease.fence).update(lease_until=timezone.now() + HOUR)
            case "record":
                point = Point("train", "train/loss", 1, 1.0, 1.0, 1, 1.0)
                port.record(lease, [point], [CostLine("train", Purpose.TRAIN, 1.0, 1.0, 1.0)], 0.5)
            case "save":
                port.register_checkpoint(lease, port.Checkpoint("train", new_code(), 1, 0))
            case "finish":
                port.finish(lease, port.Ending(State.SUCCEEDED))
            case "fail":
                port.finish(lease, port.Ending(State.FAILED, "error", "it broke"))
            case "release":
                port.release(lease)
            case "crash":
                return port.crashed(lease, "signal SIGKILL", "killed")
            case _:
                raise AssertionError(deed)
        return True

    @rule()
    def lease_runs_out(self) -> None:
        Run.objects.filter(pk=self.pk, state__in=ACTIVE).update(lease_until=timezone.now() - HOUR)

    @rule()
    def reap(self) -> None:
        before = self.run()
        dead = before.state in ACTIVE and before.lease_until is not None and before.lease_until < timezone.now()
        assert (self.pk in sweep.reap()) == dead

    @rule()
    def back_off_is_over(self) -> None:
        Run.objects.filter(pk=self.pk).update(not_before=timezone.now() - HOUR)

    @rule(wish=sampled_from((lifecycle.pause, lifecycle.resume, lifecycle.resume, lifecycle.reopen, lifecycle.cancel)))
    def wish(self, wish: Any) -> None:
        before = self.run()
        if wish is lifecycle.cancel and self.age < MATURE:
            return
        granted = wish(before, "ada")
        if before.state in TERMINAL:
            assert granted == (wish is lifecycle.reopen and before.state != State.SUCCEEDED)

    @invariant()
    def one_truth(self) -> None:
        if not hasattr(self, "pk"):
            return
        run, self.age = self.run(), self.age + 1
        assert (run.state in ACTIVE) == (run.lease_until is not None)
        assert run.fence >= self.fence
        assert run.event_seq >= self.seq
        self.fence, self.seq = run.fence, run.event_seq
        assert run.attempts_no_progress <= 3
        fences = list(Attempt.objects.filter(run=run).order_by("n").values_list("fence", flat=True))
        assert fences == sorted(set(fences))

    @invariant()
    def terminal_states_have_no_way_out_but_reopening(self) -> None:
        if not hasattr(self, "pk"):
            return
        moves = RunEvent.objects.filter(run_id=self.pk, was__in=TERMINAL).exclude(now="")
        assert all(event.note == "reopened" and event.now == State.QUEUED for event in moves)


@pytest.mark.django_db
def test_no_order_of_events_breaks_the_protocol(new_run: NewRun, settings: Any) -> None:
    settings.LEASE_SECONDS, settings.BACKOFF_SECONDS = 0.001, [60.0]
    machine = type("Case", (Protocol,), {"new_run": staticmethod(new_run)})
    run_state_machine_as_test(machine, settings=_effort())


def _effort() -> settings:
    """Enough orders to find a removed guard within seconds; always the same ones."""
    return settings(
        max_examples=40, stateful_step_count=50, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
