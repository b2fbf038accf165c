"""What happens: runs, their attempts, events, series, costs, scores, artifacts, and the workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from training.account import Account
from training.records import Purpose
from webapp.codes import new_code
from webapp.experiments.models import Arm


class State(models.TextChoices):
    """queued -> starting -> running -> finalizing -> a terminal state; back to queued by reaper or release only."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    FINALIZING = "finalizing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"


ACTIVE = (State.STARTING, State.RUNNING, State.FINALIZING)
TERMINAL = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUARANTINED)


class RunQuerySet(models.QuerySet["Run"]):
    def for_user(self, user: Any) -> RunQuerySet:
        return self.filter(arm__experiment__project__membership__user=user) if user.is_authenticated else self.none()


class Run(models.Model):
    """One arm at one seed. `lifecycle` and `port` are the only writers of its state."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="runs")
    seed = models.BigIntegerField()
    queue = models.CharField(max_length=40, default="cpu")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    priority = models.SmallIntegerField(default=0)
    not_before = models.DateTimeField(db_default=Now())
    attempt = models.IntegerField(default=0)
    attempts_no_progress = models.IntegerField(default=0)
    fence = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    pause_requested_at = models.DateTimeField(null=True)
    event_seq = models.BigIntegerField(default=0)
    rewound_seq = models.BigIntegerField(default=0)
    """Event number of the last resume; a viewer that is behind it draws its curves anew."""
    phase = models.CharField(max_length=60, blank=True)
    step = models.BigIntegerField(default=0)
    progress = models.FloatField(default=0.0)
    checkpoint_step = models.BigIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=60, blank=True)
    failure_text = models.TextField(blank=True)

    executed_flops = models.FloatField(default=0.0)
    effective_flops = models.FloatField(default=0.0)
    wall_seconds = models.FloatField(default=0.0)
    tokens = models.BigIntegerField(default=0)
    peak_bytes = models.BigIntegerField(default=0)
    joules = models.FloatField(null=True)
    final_loss = models.FloatField(null=True)
    environment = models.JSONField(default=dict)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["arm", "seed"], name="one_run_per_seed"),
            models.CheckConstraint(
                condition=Q(state__in=ACTIVE, lease_until__isnull=False)
                | (~Q(state__in=ACTIVE) & Q(lease_until__isnull=True)),
                name="lease_iff_active",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=TERMINAL) | Q(finished_at__isnull=False), name="terminal_has_finished_at"
            ),
        ]
        indexes = [
            models.Index(fields=["queue", "-priority", "id"], condition=Q(state="queued"), name="claimable"),
            models.Index(fields=["lease_until"], condition=Q(state__in=ACTIVE), name="reapable"),
        ]

    def __str__(self) -> str:
        return f"{self.arm.label}, seed {self.seed}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL


def attempt_folder(code: str, fence: int) -> Path:
    """Where an attempt writes; one per fence, so that a stale writer cannot touch the files of a newer one."""
    return Path(settings.ARTIFACT_ROOT) / "runs" / code / str(fence)


class Attempt(models.Model):
    """One claim of a run by a worker."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="attempts")
    n = models.IntegerField()
    fence = models.BigIntegerField()
    worker = models.CharField(max_length=120)
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    exit_class = models.CharField(max_length=40, blank=True)
    signal = models.IntegerField(null=True)
    first_step = models.BigIntegerField(null=True)
    last_step = models.BigIntegerField(null=True)
    body = models.JSONField(null=True)
    """`training.account.Account`, as the attempt last told it."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "fence"], name="one_attempt_per_fence")]

    @property
    def account(self) -> Account:
        """Where its wall clock went, and what its FLOP count leaves out."""
        return Account.model_validate(self.body or {})

    @property
    def seconds(self) -> float | None:
        """Wall clock from its claim to its end, on the database's clock."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None

    @property
    def log(self) -> Path:
        return attempt_folder(self.run.code, self.fence) / "log.txt"


class RunEvent(models.Model):
    """A transition or a note, append only."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    was = models.CharField(max_length=12, blank=True)
    now = models.CharField(max_length=12, blank=True)
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=150, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["run", "id"])]


class Series(models.Model):
    """A named curve of a phase, e.g. `train/loss` of `train`."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="series")
    phase = models.CharField(max_length=60)
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "phase", "name"], name="one_series")]


class CurrentPoints(models.Manager["Point"]):
    """The effective curve: without points that a resume superseded and that were not written anew yet."""

    def get_queryset(self) -> models.QuerySet[Point]:
        return super().get_queryset().filter(superseded=False)


class Point(models.Model):
    """One value. `event` is the run's event number it arrived with: the cursor of the live view.

    A value that is not finite is stored as null with `finite` false, so that it never ranks first.
    """

    pk = models.CompositePrimaryKey("series_id", "step")
    series = models.ForeignKey(Series, on_delete=models.CASCADE, related_name="points")
    step = models.BigIntegerField()
    value = models.FloatField(null=True)
    finite = models.BooleanField(default=True)
    flops = models.FloatField()
    tokens = models.BigIntegerField()
    seconds = models.FloatField()
    fence = models.BigIntegerField()
    event = models.BigIntegerField()
    superseded = models.BooleanField(default=False)
    at = models.DateTimeField(db_default=Now())

    objects = CurrentPoints()
    every: models.Manager[Point] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["series", "event"])]


class CostLine(models.Model):
    """The bill of a run by phase and purpose."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="costs")
    phase = models.CharField(max_length=60)
    purpose = models.CharField(max_length=10, choices=[(p.value, p.value) for p in Purpose])
    executed = models.FloatField(default=0.0)
    effective = models.FloatField(default=0.0)
    wall_seconds = models.FloatField(default=0.0)
    examples = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "phase", "purpose"], name="one_cost_line"),
            models.CheckConstraint(
                condition=Q(executed__gte=0, effective__gte=0, wall_seconds__gte=0), name="costs_not_negative"
            ),
        ]


class Score(models.Model):
    """A score of the finished model."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="scores")
    task = models.CharField(max_length=60)
    metric = models.CharField(max_length=60)
    split = models.CharField(max_length=20)
    value = models.FloatField()
    stderr = models.FloatField(null=True)
    n = models.IntegerField()
    version = models.IntegerField(default=1)
    shots = models.IntegerField(default=0)
    higher_is_better = models.BooleanField(default=True)
    chance = models.FloatField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "task", "metric", "split"], name="one_score"),
        ]


class Artifact(models.Model):
    """A file or folder of a run, found by opaque id; `kind` is checkpoint or weights.

    `name` is the state a checkpoint holds, `path` is relative to the artifact root, and every point with an event
    number up to `event` was stored before the checkpoint was.
    """

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="artifacts")
    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=100, blank=True)
    event = models.BigIntegerField(default=0)
    fence = models.BigIntegerField()
    step = models.BigIntegerField()
    path = models.CharField(max_length=300)
    bytes = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["run", "kind", "-step"])]


class Worker(models.Model):
    """A slot that trains, with what it measured on itself when it started: its best FLOP/s, and `training.pace`."""

    name = models.CharField(max_length=120, unique=True)
    queue = models.CharField(max_length=40)
    device = models.CharField(max_length=120)
    memory_bytes = models.BigIntegerField(default=0)
    flops_per_second = models.FloatField(null=True)
    pace = ArrayField(models.FloatField(), null=True)
    startup_seconds = models.FloatField(null=True)
    """From the start of a process to its first step."""
    versions = models.JSONField(default=dict)
    heartbeat_at = models.DateTimeField(db_default=Now())
    draining = models.BooleanField(default=False)
