"""Which data a person may choose: what ships, what the operator offers, what projects uploaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings

from training.data.names import TEXT
from webapp.datasets.models import Dataset

HUB = "hf:"
SHIPPED = (("sotu", "State of the Union"), ("wikitext-2", "WikiText-2 (fetched)"))

Choices = list[tuple[str, Any]]


def source_choices(projects: Any, *, also: str = "") -> Choices:
    """Grouped choices for `data.source`; `also` keeps a value that is none of them, so that nothing typed is lost."""
    groups: Choices = [("Shipped", SHIPPED)]
    if offered := _offered():
        groups.append(("Data folder", offered))
    uploads = Dataset.objects.filter(project__in=projects).select_related("project").order_by("project", "name")
    if uploaded := [(dataset.source, f"{dataset.name} ({dataset.project})") for dataset in uploads]:
        groups.append(("Uploaded", uploaded))
    known = {value for _, group in groups for value, _ in group}
    return groups if not also or also in known else [*groups, ("Given", [(also, also)])]


def _offered() -> list[tuple[str, str]]:
    """The texts and folders of texts in the data folder whose names a spec can say."""
    root = Path(settings.DATA_ROOT)
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    return [(f"text:{name}", name) for name in names if re.fullmatch(TEXT, f"text:{name}")]
