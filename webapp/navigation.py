"""The main navigation: where a person is, for the frame of every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

SECTIONS = (
    ("Experiments", "experiments"),
    ("Reports", "reports"),
    ("Queue", "queue"),
    ("Methods", "methods"),
    ("Studies", "studies"),
    ("Records", "records"),
    ("Data", "datasets"),
    ("Projects", "projects"),
)


@dataclass(frozen=True)
class Section:
    """One entry; `current` marks the page's own section."""

    title: str
    url: str
    current: bool


def navigation(request: HttpRequest) -> dict[str, Any]:
    """Template context: `sections`, with the one that the address lies in marked."""
    addresses = [(title, reverse(name)) for title, name in SECTIONS]
    return {"sections": [Section(title, url, request.path.startswith(url)) for title, url in addresses]}
