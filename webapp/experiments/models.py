"""What is asked: an experiment and its arms."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
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
