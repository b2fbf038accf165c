"""Keeping an uploaded text: the blob by its digest, then its row."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from training.data.check import TextFacts
from webapp.datasets.models import Dataset
from webapp.teams.models import AuditEvent, Project


def keep(facts: TextFacts, *, owner: Any, project: Project, name: str, file: UploadedFile[bytes]) -> Dataset:
    """Store a judged text; the same text again in the same project is the same data set, under its first name."""
    dataset = Dataset(project=project, name=name, sha256=facts.sha256, bytes=facts.bytes, owner=owner)
    if not dataset.path.exists():
        _store(file, dataset)
    with transaction.atomic():
        known, new = Dataset.objects.get_or_create(
            project=project, sha256=facts.sha256, defaults={"name": name, "bytes": facts.bytes, "owner": owner}
        )
        if new:
            AuditEvent.objects.create(actor=owner, project=project, verb="uploaded", object=f"data {known.code}")
    return known


def _store(file: UploadedFile[bytes], dataset: Dataset) -> None:
    """Copy beside the place and rename, so that a half copy never has the digest's name."""
    folder = dataset.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".tmp-", delete=False) as copy:
        for piece in file.chunks():
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    os.chmod(copy.name, 0o644)
    os.replace(copy.name, dataset.path)
