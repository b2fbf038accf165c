"""Pagination for lists: the page number in the address, a wrong one answered with the nearest page."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest

SIZE = 30


def page_of(rows: Any, request: HttpRequest) -> Page[Any]:
    """The page of `rows` that the address names."""
    return Paginator(rows, SIZE).get_page(request.GET.get("page"))
