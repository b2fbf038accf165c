"""Newest first by signed cursors: rows that arrive or leave meanwhile neither repeat nor hide others."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core import signing
from django.db.models import Model, QuerySet
from pydantic import Field
from rest_framework.request import Request

from training.knobs import Strict
from webapp.api.problems import Problem

MOST = 200
Row = TypeVar("Row", bound=Model)


class Paged(Strict):
    """The part of a list to answer with."""

    cursor: str = Field("", max_length=500, description="`next` of the page before; empty for the newest")
    limit: int = Field(50, ge=1, le=MOST, description="rows per page")


def page(rows: QuerySet[Row], request: Request, asked: Paged) -> tuple[list[Row], str | None]:
    """One page and the cursor of the next; a cursor holds for its own address only."""
    if asked.cursor:
        rows = rows.filter(pk__lt=_key(asked.cursor, request.path))
    found = list(rows.order_by("-pk")[: asked.limit + 1])
    if len(found) <= asked.limit:
        return found, None
    found.pop()
    return found, signing.dumps(found[-1].pk, salt=request.path)


def _key(cursor: str, path: str) -> Any:
    try:
        return signing.loads(cursor, salt=path)
    except signing.BadSignature:
        raise Problem(400, "bad-cursor", "This cursor does not come from a page of this list.") from None
