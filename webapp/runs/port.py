"""All that a worker may do to the database. Each function is one short transaction on PostgreSQL's clock.

A `Lease` is the right to write: every write checks its fence first, and `Fenced` says that somebody else holds the run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from training.account import Account
from training.records import CostLine, Point, Score
from training.spec import RunSpec
from webapp.datasets.models import Dataset
from webapp.runs import metrics, queue, statements, sweep
from webapp.runs import models as tables

State = tables.State


class Fenced(Exception):
    """Another attempt holds the run now: stop and write nothing."""


@dataclass(frozen=True)
class Lease:
    """The right to write to a run, until a newer fence."""

    run_id: int
    code: str
    fence: int
    attempt: int
    worker: str

    @property
    def key(self) -> dict[str, int]:
        return {"run": self.run_id, "fence": self.fence}


@dataclass(frozen=True)
class Orders:
    """What the heartbeat's reply asks of the holder."""

    cancel: bool
    pause: bool
    drain: bool

    @property
    def stop(self) -> bool:
        return self.cancel or self.pause or self.drain


@dataclass(frozen=True)
class Job:
    """What to train."""

    spec: RunSpec
    seed: int


@dataclass(frozen=True)
class Checkpoint:
    """A registered checkpoint; `path` is relative to the artifact root."""

    name: str
    path: str
    step: int
    event: int
    bytes: int = 0
    sha256: str = ""


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def _row(statement: str, values: dict[str, Any]) -> tuple[Any, ...]:
    """The row of a statement that finds none under an older fence."""
    if rows := _rows(statement, values):
        return rows[0]
    raise Fenced


def claim(queue_name: str, worker: str) -> Lease | None:
    """Take the next run of a queue, or nothing."""
    rows = _rows(statements.CLAIM, {"queue": queue_name, "worker": worker, "lease": settings.LEASE_SECONDS})
    if not rows:
        return None
    run_id, code, fence, attempt = rows[0]
    queue.nudge(code)
    return Lease(run_id, code, fence, attempt, worker)


def held(run_id: int, fence: int) -> Lease:
    """The lease that a supervisor took and hands to its trainer."""
    run = tables.Run.objects.filter(pk=run_id, fence=fence, state__in=tables.ACTIVE).first()
    if run is None:
        raise Fenced
    return Lease(run.pk, run.code, run.fence, run.attempt, run.lease_owner)


def folder(lease: Lease) -> Path:
    """Where this attempt writes its log, checkpoints and weights."""
    return tables.attempt_folder(lease.code, lease.fence)


def job(lease: Lease) -> Job:
    run = tables.Run.objects.select_related("arm").get(pk=lease.run_id)
    return Job(run.arm.spec, run.seed)


def blob(source: str) -> Path | None:
    """The file behind `dataset:<code>`; None for every other source."""
    code = source.removeprefix("dataset:")
    found = Dataset.objects.filter(code=code).first() if code != source else None
    return found.path if found else None


def reconnect() -> None:
    """Drop this thread's broken connection; the next question opens a new one."""
    connection.close()


def heartbeat(lease: Lease) -> Orders:
    """Extend the lease and hear what people asked for; Fenced when it is lost."""
    return Orders(*_row(statements.HEARTBEAT, lease.key | {"lease": settings.LEASE_SECONDS}))


def _raise_seq(lease: Lease) -> int:
    return int(_row(statements.RAISE_SEQ, lease.key)[0])


def _moved(lease: Lease, was: str, now: str, note: str = "") -> None:
    tables.RunEvent.objects.create(run_id=lease.run_id, was=was, now=now, actor=lease.worker, note=note)


@transaction.atomic
def start(lease: Lease, environment: dict[str, Any]) -> None:
    """The trainer is up: starting -> running, with the record of what it runs on."""
    _raise_seq(lease)
    run = tables.Run.objects.get(pk=lease.run_id)
    if run.state == tables.State.STARTING:
        _moved(lease, run.state, tables.State.RUNNING)
    begun = {"started_at": run.started_at or Now(), "environment": environment, "failure": "", "failure_text": ""}
    tables.Run.objects.filter(pk=lease.run_id).update(state=tables.State.RUNNING, **begun)
    tables.Attempt.objects.filter(run_id=lease.run_id, fence=lease.fence).update(first_step=run.checkpoint_step)
    transaction.on_commit(lambda: queue.nudge(lease.code))


def finalize(lease: Lease) -> bool:
    """Training is over and scoring begins; False if a cancel came first. From here on a cancel is too late."""
    with transaction.atomic():
        _raise_seq(lease)
        run = tables.Run.objects.get(pk=lease.run_id)
        if run.state == tables.State.RUNNING and run.cancel_requested_at is None:
            tables.Run.objects.filter(pk=run.pk).update(state=tables.State.FINALIZING)
            _moved(lease, tables.State.RUNNING, tables.State.FINALIZING)
            return True
    return run.state == tables.State.FINALIZING


@transaction.atomic
def record(lease: Lease, points: Sequence[Point], costs: Sequence[CostLine], progress: float = 0.0) -> int:
    """Store points and the bill so far; storing the same twice changes nothing. Returns the event number."""
    event = _raise_seq(lease)
    if points:
        metrics.store_points(points, run=lease.run_id, fence=lease.fence, event=event)
        last = points[-1]
        _rows(statements.ADVANCE, lease.key | {"phase": last.phase, "step": last.step, "progress": progress})
    metrics.store_costs(costs, run=lease.run_id)
    transaction.on_commit(lambda: queue.nudge(lease.code))
    return event


@transaction.atomic
def account(lease: Lease, told: Account) -> None:
    """Where this attempt's wall clock went so far, and what its FLOP count leaves out."""
    _raise_seq(lease)
    tables.Attempt.objects.filter(run_id=lease.run_id, fence=lease.fence).update(body=told.model_dump(mode="json"))


@transaction.atomic
def rewind(lease: Lease, event: int, kept: Sequence[CostLine]) -> None:
    """Resume from the checkpoint that holds the bill `kept` and all points up to `event`.

    Later points of older fences are superseded, and what was spent beyond the checkpoint is booked `redone`.
    """
    now = _raise_seq(lease)
    metrics.rebook(kept, run=lease.run_id)
    _rows(statements.SUPERSEDE, lease.key | {"event": event})
    tables.Run.objects.filter(pk=lease.run_id).update(rewound_seq=now)


KEPT = 2
"""Checkpoints of one name that are kept: the newest, and the one before it should the newest not verify."""


@transaction.atomic
def register_checkpoint(lease: Lease, saved: Checkpoint) -> list[str]:
    """Make a checkpoint on disk count, and forgive the attempts before it; paths of those it makes needless."""
    event = _raise_seq(lease)
    rows = tables.Artifact.objects.filter(run_id=lease.run_id, kind="checkpoint", name=saved.name)
    facts = {
        "kind": "checkpoint", "name": saved.name, "fence": lease.fence, "step": saved.step, "bytes": saved.bytes,
        "sha256": saved.sha256, "event": event,
    }  # fmt: skip
    rows.update_or_create(run_id=lease.run_id, path=saved.path, defaults=facts)
    needless = dict(rows.order_by("-event").values_list("pk", "path")[KEPT:])
    tables.Artifact.objects.filter(pk__in=needless).delete()
    tables.Run.objects.filter(pk=lease.run_id).update(attempts_no_progress=0, checkpoint_step=saved.step)
    return list(needless.values())


def checkpoints(lease: Lease) -> list[Checkpoint]:
    """All registered checkpoints of the run, newest first."""
    rows = tables.Artifact.objects.filter(run_id=lease.run_id, kind="checkpoint").order_by("-event")
    return [Checkpoint(*row) for row in rows.values_list(*(field.name for field in fields(Checkpoint)))]


def forget_checkpoint(lease: Lease, path: str) -> None:
    """Strike one that does not verify."""
    with transaction.atomic():
        _raise_seq(lease)
        tables.Artifact.objects.filter(run_id=lease.run_id, kind="checkpoint", path=path).delete()


@dataclass(frozen=True)
class Ending:
    """How a run ended, as its trainer saw it; `notes` are its method's words."""

    result: tables.State
    failure: str = ""
    text: str = ""
    scores: Sequence[Score] = ()
    weights: Checkpoint | None = None
    final_loss: float | None = None
    peak_bytes: int = 0
    notes: Sequence[str] = ()


@transaction.atomic
def finish(lease: Lease, ending: Ending) -> tables.State:
    """Reach the one terminal state; a cancel that came before scoring wins."""
    values = {
        "result": str(ending.result), "failure": ending.failure, "text": ending.text.replace("\0", ""),
        "final_loss": ending.final_loss, "peak_bytes": ending.peak_bytes, "actor": lease.worker,
    }  # fmt: skip
    state = tables.State(_row(statements.FINISH, lease.key | values)[0])
    if state == tables.State.SUCCEEDED:
        tables.Score.objects.filter(run_id=lease.run_id).delete()
        tables.Score.objects.bulk_create(tables.Score(run_id=lease.run_id, **asdict(score)) for score in ending.scores)
        told = (tables.RunEvent(run_id=lease.run_id, actor=lease.worker, note=note) for note in ending.notes)
        tables.RunEvent.objects.bulk_create(told)
    if ending.weights is not None:
        saved = ending.weights
        tables.Artifact.objects.create(
            run_id=lease.run_id, kind="weights", fence=lease.fence, step=saved.step,
            path=saved.path, bytes=saved.bytes, sha256=saved.sha256,
        )  # fmt: skip
    transaction.on_commit(lambda: queue.nudge(lease.code))
    return state


def release(lease: Lease) -> tables.State:
    """Give the run back after a checkpoint: cancelled if that was asked, else queued; the attempt does not count."""
    state = tables.State(_row(statements.RELEASE, lease.key | {"actor": lease.worker})[0])
    queue.nudge(lease.code)
    return state


def crashed(lease: Lease, exit_class: str, text: str, signal: int | None = None) -> bool:
    """The trainer broke: cancelled if asked, quarantined at the limit, else queued after a pause; False if fenced."""
    returned = sweep.give_back(exit_class, text, actor=lease.worker, signal=signal, **lease.key)
    queue.nudge(lease.code)
    return bool(returned)


def register(name: str, queue_name: str, device: dict[str, Any]) -> None:
    """Announce a worker; `device` has device, memory_bytes, flops_per_second and versions, and what was measured."""
    measured = {"pace": None, "startup_seconds": None} | device
    values = measured | {"versions": json.dumps(device["versions"])}
    _rows(statements.REGISTER, {"name": name, "queue": queue_name} | values)


def worker_alive(name: str) -> None:
    """A worker's own heartbeat, idle or not; it also sweeps, so that a dead scheduler stalls nobody."""
    tables.Worker.objects.filter(name=name).update(heartbeat_at=Now())
    sweep.reap()
