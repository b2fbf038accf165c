"""Uploaded text: a row names a blob by its digest; no name a person typed ever becomes a path."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.codes import new_code
from webapp.teams.models import Project


class Dataset(models.Model):
    """One uploaded UTF-8 text, addressed in a spec as `dataset:<code>`."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "sha256"], name="one_blob_per_project")]

    @property
    def source(self) -> str:
        return f"dataset:{self.code}"

    @property
    def path(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / "datasets" / self.sha256
