"""Which data a person may choose: what ships, what the operator offers, what projects uploaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings

from training import catalog
from training.catalog import TaskCard
from webapp.datasets.models import Dataset, Kind

HUB = "hf:"
KINDS = {"token": Kind.TEXT, "image": Kind.IMAGES}
"""What a task learns from, by the unit that it counts in."""

Choices = list[tuple[str, Any]]


def source_choices(task: str, projects: Any, *, also: str = "") -> Choices:
    """Grouped choices for `data.source`; `also` keeps a value that is none of them, so that nothing typed is lost."""
    card = catalog.task(task)
    groups: Choices = [("Shipped", list(card.shipped.items()))]
    if offered := _offered(card):
        groups.append(("Data folder", offered))
    uploads = Dataset.objects.filter(project__in=projects, kind=KINDS[card.unit]).select_related("project")
    if uploads:
        groups.append(("Uploaded", [(row.source, _uploaded(row)) for row in uploads.order_by("project", "name")]))
    known = {value for _, group in groups for value, _ in group}
    return groups if not also or also in known else [*groups, ("Given", [(also, also)])]


def _uploaded(dataset: Dataset) -> str:
    """An upload as a choice."""
    sizes = f": {dataset.sizes}, {dataset.classes} classes" if dataset.kind == Kind.IMAGES else ""
    return f"{dataset.name} ({dataset.project}){sizes}"


def _offered(card: TaskCard) -> list[tuple[str, str]]:
    """What of the data folder can be the task's data and has a name that a spec can say."""
    root = Path(settings.DATA_ROOT)
    entries = sorted(root.iterdir(), key=lambda entry: entry.name) if root.is_dir() else []
    named = ((card.offers(entry), entry.name) for entry in entries)
    return [(source, name) for source, name in named if re.fullmatch(card.source, source)]
