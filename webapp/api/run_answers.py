"""What the API answers about runs."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Self

from django.urls import reverse
from pydantic import BaseModel, ConfigDict

from training.records import Purpose
from webapp.api.answers import Row
from webapp.runs import downloads
from webapp.runs.models import Artifact, Attempt, Run, State
from webapp.runs.stream import LOG_BYTES


class RunRow(BaseModel):
    """A run as lists show it: where it stands and what it has cost so far."""

    code: str
    experiment: str
    arm: str
    label: str
    methods: list[str]
    seed: int
    state: State
    queue: str
    phase: str
    step: int
    progress: float
    attempt: int
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    failure: str
    executed_flops: float
    effective_flops: float
    wall_seconds: float
    tokens: int
    peak_bytes: int
    joules: float | None
    final_loss: float | None

    @classmethod
    def of(cls, run: Run, **more: Any) -> Self:
        own = {name: getattr(run, name) for name in RunRow.model_fields if hasattr(run, name)}
        arm = {"experiment": run.arm.experiment.code, "arm": run.arm.code, "label": run.arm.label}
        return cls.model_validate(own | arm | {"methods": run.arm.spec.methods} | more)


class AttemptAnswer(Row):
    """One claim of the run by a worker."""

    n: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    exit_class: str
    signal: int | None
    first_step: int | None
    last_step: int | None


class EventAnswer(Row):
    """A transition or a note."""

    was: str
    now: str
    at: datetime
    actor: str
    note: str


class CostAnswer(Row):
    """A line of the bill: executed and effective FLOPs are never merged."""

    phase: str
    purpose: Purpose
    executed: float
    effective: float
    wall_seconds: float
    examples: int
    tokens: int


class ScoreAnswer(Row):
    """A score of the finished model."""

    task: str
    metric: str
    split: str
    value: float
    stderr: float | None
    n: int
    version: int
    shots: int
    higher_is_better: bool
    chance: float | None


class FileAnswer(BaseModel):
    """A file of the finished model; `url` needs the same authentication."""

    name: str
    bytes: int
    url: str


class RunAnswer(RunRow):
    """Everything about a run but its points and its log."""

    failure_text: str
    spec: dict[str, Any]
    environment: dict[str, Any]
    attempts: list[AttemptAnswer]
    events: list[EventAnswer]
    costs: list[CostAnswer]
    scores: list[ScoreAnswer]
    weights: list[FileAnswer]

    @classmethod
    def read(cls, run: Run) -> Self:
        saved = run.artifacts.filter(kind="weights").order_by("-pk").first()
        return cls.of(
            run,
            failure_text=run.failure_text,
            spec=run.arm.spec.model_dump(mode="json"),
            environment=run.environment,
            attempts=[AttemptAnswer.model_validate(row) for row in run.attempts.order_by("n")],
            events=[EventAnswer.model_validate(row) for row in run.events.order_by("pk")],
            costs=[CostAnswer.model_validate(row) for row in run.costs.order_by("pk")],
            scores=[ScoreAnswer.model_validate(row) for row in run.scores.order_by("pk")],
            weights=files(saved) if saved else [],
        )


def files(artifact: Artifact) -> list[FileAnswer]:
    """The files of an artifact, as they lie in its folder."""
    return [
        FileAnswer(
            name=file.name,
            bytes=file.stat().st_size,
            url=reverse("api:artifact", kwargs={"code": artifact.code, "name": file.name}),
        )
        for file in downloads.files(artifact)
    ]


class LmEvalAnswer(BaseModel):
    """The results file of lm-evaluation-harness 0.4."""

    model_config = ConfigDict(extra="allow")

    results: dict[str, dict[str, Any]]
    versions: dict[str, int]


class PointAnswer(BaseModel):
    """One value; costs are the run's training totals so far. A value that is not finite is null."""

    phase: str
    name: str
    step: int
    value: float | None
    flops: float
    tokens: int
    seconds: float


class ChangeAnswer(BaseModel):
    """What happened to a run since an event. `reset` says that these points replace what was drawn before."""

    seq: int
    more: bool
    reset: bool
    state: State
    phase: str
    step: int
    progress: float
    attempt: int
    points: list[PointAnswer]


class LogAnswer(BaseModel):
    """A part of a log; `next` is the offset of what follows."""

    attempt: int
    text: str
    next: int
    size: int

    @classmethod
    def read(cls, attempt: Attempt, offset: int) -> Self:
        with attempt.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(min(offset, size))
            text = file.read(LOG_BYTES).decode(errors="replace")
            return cls(attempt=attempt.n, text=text, next=file.tell(), size=size)


class WaitingAnswer(BaseModel):
    """A queued run and why it waits."""

    run: RunRow
    reason: str
