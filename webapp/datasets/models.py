"""Uploaded data: a row names a blob by its digest; no name a person typed ever becomes a path."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.codes import new_code
from webapp.teams.models import Project


class Kind(models.TextChoices):
    """What a data set is made of."""

    TEXT = "text"
    IMAGES = "images"


class Dataset(models.Model):
    """One uploaded UTF-8 text or set of images, addressed in a spec as `dataset:<code>`."""

    code = models.CharField(max_length=12, unique=True, default=new_code, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TEXT, db_default=Kind.TEXT)
    sha256 = models.CharField(max_length=64)
    bytes = models.BigIntegerField()
    images = models.IntegerField(null=True)
    classes = models.IntegerField(null=True)
    resolution = models.IntegerField(null=True)
    channels = models.IntegerField(null=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "sha256"], name="one_blob_per_project"),
            models.CheckConstraint(
                condition=models.Q(
                    channels__isnull=True, classes__isnull=True, images__isnull=True, kind="text",
                    resolution__isnull=True,
                ) | models.Q(
                    channels__in=(1, 3), classes__gt=1, images__gt=0, kind="images", resolution__gt=0,
                ),
                name="images_say_their_sizes",
            ),
        ]  # fmt: skip

    @property
    def source(self) -> str:
        return f"dataset:{self.code}"

    @property
    def path(self) -> Path:
        return Path(settings.ARTIFACT_ROOT) / "datasets" / self.sha256

    @property
    def sizes(self) -> str:
        """What every image has, in words."""
        return f"{self.resolution} × {self.resolution} {'grey' if self.channels == 1 else 'colour'}"
