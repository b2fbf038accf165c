"""What is asked: an experiment and its arms."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from training.spec import RunSpec
from webapp.codes import new_code
from webapp.teams.models import Project


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    def for_user(self, user: Any) -> ExperimentQuerySet:
        return self.filter(project__membership__user=user) if user.is_authenticated else self.none()


class Experiment(models.Model):
    """A question and the arms that answer it."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    question = models.TextField(blank=True, max_length=2000)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)
    stop_dominated = models.BooleanField(default=False)
    """Pause the runs of arms that hardly have a chance to reach the quality-cost frontier."""
    retimes = models.ForeignKey("Arm", null=True, blank=True, on_delete=models.SET_NULL, related_name="retimings")
    """The arm of another experiment that this one times again."""

    study = models.CharField(max_length=60, blank=True, default="", db_default="")
    """Name of the study that asks for its runs; empty where a person did."""
    study_knobs = models.JSONField(default=dict, db_default={})

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["project", "-created_at"])]

    def __str__(self) -> str:
        return self.title


class Arm(models.Model):
    """One spec of an experiment; its runs differ by seed only."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    label = models.CharField(max_length=100)
    body = models.JSONField()
    digest = models.CharField(max_length=64)
    is_baseline = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "digest"], name="one_arm_per_digest"),
            models.UniqueConstraint(fields=["experiment"], condition=Q(is_baseline=True), name="one_baseline"),
        ]

    def __str__(self) -> str:
        return self.label

    @cached_property
    def spec(self) -> RunSpec:
        return RunSpec.model_validate(self.body)


class Finding(models.Model):
    """What a study concluded from the runs that were over by then; made anew when more are."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE)
    body = models.JSONField()
    """One class of the study's, a `training.study.Finding`."""
    until = models.DateTimeField()
    """End of the last run that it knows."""


class Forecast(models.Model):
    """What a run was expected to cost when it was launched; the database refuses to change it afterwards.

    Seconds are null when no worker of the queue had measured itself yet, energy and money when no rate was set.
    """

    run = models.OneToOneField("runs.Run", on_delete=models.CASCADE)
    family = models.CharField(max_length=60)
    """Architecture and precision: runs of one family on one device err alike."""
    flops = models.FloatField()
    unlearnt = models.FloatField(null=True)
    """Training seconds by the worker's price list alone, before what finished runs taught."""
    seconds = models.FloatField(null=True)
    """Of training; `low` and `high` are the 90 % interval around it."""
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    evaluation = models.FloatField(null=True)
    """Seconds of evaluation and scoring."""
    startup = models.FloatField(null=True)
    kwh = models.FloatField(null=True)
    money = models.FloatField(null=True)
    history = models.IntegerField(default=0)
    """How many finished runs taught it."""
    made_at = models.DateTimeField(db_default=Now())
