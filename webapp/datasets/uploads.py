"""Keeping uploaded data: the blob by its digest, then its row."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import transaction

from training.data.check import TextFacts
from training.data.images.uploads.canonical import ImageFacts
from webapp.datasets.models import Dataset, Kind
from webapp.teams.models import AuditEvent, Project


def keep(facts: TextFacts | ImageFacts, *, owner: Any, project: Project, name: str, file: File[bytes]) -> Dataset:
    """Store judged data; the same again in the same project is the same data set, under its first name."""
    told: dict[str, Any] = {"name": name, "bytes": facts.bytes, "owner": owner}
    if isinstance(facts, ImageFacts):
        told |= {"kind": Kind.IMAGES, "images": facts.images, "classes": facts.classes}
        told |= {"resolution": facts.side, "channels": facts.channels}
    dataset = Dataset(project=project, sha256=facts.sha256, **told)
    if not dataset.path.exists():
        _store(file, dataset)
    with transaction.atomic():
        known, new = Dataset.objects.get_or_create(project=project, sha256=facts.sha256, defaults=told)
        if new:
            AuditEvent.objects.create(actor=owner, project=project, verb="uploaded", object=f"data {known.code}")
    return known


def folder() -> Path:
    """Where the blobs lie, on the disk that has room for them."""
    place = Path(settings.ARTIFACT_ROOT) / "datasets"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _store(file: File[bytes], dataset: Dataset) -> None:
    """Copy beside the place and rename, so that a half copy never has the digest's name."""
    with tempfile.NamedTemporaryFile(dir=folder(), prefix=".tmp-", delete=False) as copy:
        for piece in file.chunks():
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    os.chmod(copy.name, 0o644)
    os.replace(copy.name, dataset.path)
