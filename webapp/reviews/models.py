"""Reports: what a team says about an experiment, its frozen snapshots, what reviewers said and decided."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from webapp.codes import new_code
from webapp.experiments.models import Experiment
from webapp.reviews.document import Document
from webapp.reviews.syntax import LONGEST


class ReportState(models.TextChoices):
    """draft -> in review -> accepted or returned; editing a returned report makes it a draft again."""

    DRAFT = "draft"
    IN_REVIEW = "in review"
    ACCEPTED = "accepted"
    RETURNED = "returned"


class ReportQuerySet(models.QuerySet["Report"]):
    def for_user(self, user: Any) -> ReportQuerySet:
        return self.filter(experiment__project__membership__user=user) if user.is_authenticated else self.none()


class Report(models.Model):
    """What is claimed about an experiment. `services` is the only writer; `revision` counts what was saved."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="reports")
    title = models.CharField(max_length=200)
    body = models.TextField(max_length=LONGEST)
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.DRAFT)
    revision = models.IntegerField(default=1)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="reports")
    writers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    """Everybody who wrote in it; none of them judges it."""
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now())

    objects = ReportQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["experiment", "-created_at"])]

    def __str__(self) -> str:
        return self.title

    @property
    def is_editable(self) -> bool:
        return self.state in (ReportState.DRAFT, ReportState.RETURNED)

    @cached_property
    def frozen(self) -> Snapshot | None:
        """What reviewers see; None for a draft, which is live."""
        return None if self.state == ReportState.DRAFT else self.snapshots.order_by("-revision").first()


class Snapshot(models.Model):
    """All that a report said and rested on when it was submitted. Append only.

    `body` is kept as text, not as jsonb, which would write numbers anew: `sha256` is the hash of exactly these bytes.
    """

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="snapshots")
    revision = models.IntegerField()
    body = models.TextField()
    sha256 = models.CharField(max_length=64)
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report", "revision"], name="one_snapshot_per_revision")]

    @cached_property
    def document(self) -> Document:
        return Document.model_validate_json(self.body)


class Review(models.Model):
    """A reviewer's decision on a snapshot. Append only."""

    snapshot = models.OneToOneField(Snapshot, on_delete=models.CASCADE)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    accepted = models.BooleanField()
    sentence = models.TextField(max_length=1000)
    despite = models.TextField(max_length=1000, blank=True)
    """Why it was accepted with open items on its checklist."""
    at = models.DateTimeField(db_default=Now())


class Comment(models.Model):
    """A remark on one embed of a report, or on the whole where `anchor` is empty."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="comments")
    anchor = models.CharField(max_length=60, blank=True)
    text = models.TextField(max_length=2000)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["report", "id"])]
