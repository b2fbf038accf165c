"""What the API answers about runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.urls import reverse
from pydantic import BaseModel, ConfigDict

from training.records import Purpose
from webapp.api.answers import Row
from webapp.runs.models import Artifact, Run, State


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


def contents(artifact: Artifact) -> list[Path]:
    """The files in an artifact's folder; empty once it was removed."""
    folder = Path(settings.ARTIFACT_ROOT) / artifact.path
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def files(artifact: Artifact) -> list[FileAnswer]:
    """The files of an artifact, as they lie in its folder."""
    return [
        FileAnswer(
            name=file.name,
            bytes=file.stat().st_size,
            url=reverse("api:artifact", kwargs={"code": artifact.code, "name": file.name}),
        )
        for file in contents(artifact)
    ]


class LmEvalAnswer(BaseModel):
    """The results file of lm-evaluation-harness 0.4."""

    model_config = ConfigDict(extra="allow")

    results: dict[str, dict[str, Any]]
    versions: dict[str, int]
