"""What the API answers with: one class per thing, made from rows by `of`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from training.evidence import MeasuredBar, MeasuredSaving
from webapp.datasets.models import Dataset, Kind
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.planning import Plan
from webapp.results.replications import Record, Replication
from webapp.results.verdict import Verdict
from webapp.runs.models import State
from webapp.teams.models import Role


class Row(BaseModel):
    """Made from the attributes of the same names."""

    model_config = ConfigDict(from_attributes=True)


class ProjectAnswer(BaseModel):
    """A project of yours, and what you may do there."""

    slug: str
    name: str
    role: Role


class MethodRow(BaseModel):
    """A method as the list shows it. `verdict` is empty where nothing was measured."""

    name: str
    title: str
    family: str
    paper: str
    summary: str
    verdict: str
    replication: Replication


class ClaimAnswer(Row):
    """A figure that the paper states."""

    text: str
    saving: float | None
    setting: str
    source: str


class EvidenceRun(Row):
    """A seed behind a figure; `weights` is the SHA-256 of what it trained."""

    code: str
    seed: int
    weights: str
    loss: float
    executed_flops: float


class EvidenceArm(Row):
    """An arm of the card's reproduction: mean final loss over its runs."""

    label: str
    digest: str
    loss: float
    stderr: float
    executed_flops: float
    runs: list[EvidenceRun]


class MethodEvidenceAnswer(Row):
    """What was measured when the card's reproduction ran."""

    measured: date
    command: str
    revision: str
    device: str
    threads: int
    experiment: str
    verdict: str
    words: tuple[str, ...]
    saving: MeasuredSaving
    bars: tuple[MeasuredBar, ...]
    arms: list[EvidenceArm]


class MeasurementAnswer(Row):
    """What a finished, matched experiment of yours says of the method."""

    experiment: str
    title: str
    at: datetime
    arm: str
    verdict: Verdict
    saving: str


class MethodAnswer(MethodRow):
    """A method's card. `knobs` is the JSON schema of what a spec may set under `knobs.<name>`."""

    text: str
    tasks: tuple[str, ...]
    owns: tuple[str, ...] = Field(description="what of a run it decides; methods that own the same cannot share an arm")
    claims: list[ClaimAnswer]
    knobs: dict[str, Any]
    presets: dict[str, dict[str, Any]]
    evidence: MethodEvidenceAnswer | None
    measurements: list[MeasurementAnswer]

    @classmethod
    def of(cls, record: Record) -> Self:
        card = record.card
        return cls(
            **method_row(record).model_dump(),
            text=card.text,
            tasks=card.tasks,
            owns=card.owns,
            claims=[ClaimAnswer.model_validate(claim) for claim in card.claims],
            knobs=card.knobs.model_json_schema(),
            presets={name: knobs.model_dump(mode="json") for name, knobs in (card.presets or {}).items()},
            evidence=record.evidence and MethodEvidenceAnswer.model_validate(record.evidence),
            measurements=[MeasurementAnswer.model_validate(found) for found in record.measurements],
        )


def method_row(record: Record) -> MethodRow:
    card = record.card
    return MethodRow(
        name=card.name, title=card.title, family=card.family, paper=card.paper,
        summary=card.text.partition("\n\n")[0], verdict=record.verdict, replication=record.state,
    )  # fmt: skip


class RangeAnswer(Row):
    """Seconds: the forecast, and its 90 % interval."""

    low: float
    mid: float
    high: float


class ArmPlanAnswer(Row):
    """What one run of an arm would cost."""

    label: str
    is_baseline: bool
    steps: int
    flops: float
    memory_bytes: int
    seconds: float | None
    against_baseline: float | None
    saved_blocks: float
    saved_total: float


class PlanAnswer(Row):
    """What a launch would cost. Seconds are null until a worker of the queue has measured its speed.

    `waits` until the first run starts, `span` until the last one ends, with its 90 % interval; the other seconds are
    of all runs together. Energy and money are null without a configured rate. `median_error` is that of the training
    time of the `history` finished runs on these devices.
    """

    arms: list[ArmPlanAnswer]
    seeds: tuple[int, ...]
    runs: int
    flops: float
    waits: float | None
    seconds: float | None
    span: RangeAnswer | None
    training: float | None
    evaluation: float | None
    startup: float | None
    kwh: float | None
    money: float | None
    currency: str
    workers: int
    ahead: int
    memory_bytes: int
    memory_available: int | None
    fits: bool | None
    history: int
    median_error: float | None

    @classmethod
    def of(cls, plan: Plan) -> Self:
        return cls.model_validate(plan)


class RunBrief(Row):
    """A run within its arm."""

    code: str
    seed: int
    state: State
    progress: float


class ArmAnswer(BaseModel):
    """An arm with its runs."""

    code: str
    label: str
    is_baseline: bool
    digest: str
    spec: dict[str, Any]
    runs: list[RunBrief]

    @classmethod
    def of(cls, arm: Arm) -> Self:
        runs = sorted(arm.runs.all(), key=lambda run: run.seed)
        return cls(
            code=arm.code,
            label=arm.label,
            is_baseline=arm.is_baseline,
            digest=arm.digest,
            spec=arm.spec.model_dump(mode="json"),
            runs=[RunBrief.model_validate(run) for run in runs],
        )


class ExperimentRow(BaseModel):
    """An experiment as the list shows it."""

    code: str
    project: str
    title: str
    question: str
    owner: str | None
    created_at: datetime
    archived_at: datetime | None

    @classmethod
    def of(cls, experiment: Experiment, **more: Any) -> Self:
        return cls(
            code=experiment.code,
            project=experiment.project.slug,
            title=experiment.title,
            question=experiment.question,
            owner=experiment.owner.get_username() if experiment.owner else None,
            created_at=experiment.created_at,
            archived_at=experiment.archived_at,
            **more,
        )


class ExperimentAnswer(ExperimentRow):
    """An experiment with its arms and their runs. `finished` is true once no run will change any more."""

    finished: bool
    arms: list[ArmAnswer]

    @classmethod
    def read(cls, experiment: Experiment) -> Self:
        arms = list(experiment.arms.order_by("-is_baseline", "pk").prefetch_related("runs"))
        finished = all(run.is_terminal for arm in arms for run in arm.runs.all())
        return cls.of(experiment, arms=[ArmAnswer.of(arm) for arm in arms], finished=finished)


class DatasetAnswer(BaseModel):
    """An uploaded text or image set; `source` is what a spec says to train on it.

    `bytes` and `sha256` of images are those of the form that they are kept in; a text has none of their sizes.
    """

    code: str
    project: str
    name: str
    kind: Kind
    source: str
    sha256: str
    bytes: int
    images: int | None
    classes: int | None
    resolution: int | None
    channels: int | None
    created_at: datetime

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        names = cls.model_fields.keys() - {"project"}
        return cls(project=dataset.project.slug, **{name: getattr(dataset, name) for name in names})


class WorkerAnswer(Row):
    """A slot that trains, heard of within a lease."""

    name: str
    queue: str
    device: str
    memory_bytes: int
    flops_per_second: float | None
    draining: bool
    heartbeat_at: datetime
