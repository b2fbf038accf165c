"""What leaves by file: curves as CSV, weights by opaque id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from webapp.results.tables import Table
from webapp.runs.models import Artifact, Point, Run
from webapp.teams.access import person

PIECE = 1 << 18
ROWS_SHOWN = 200
"""Newest points that the table on the page shows; the CSV has all."""


def curves(run: Run, *, newest: int | None = None) -> Table:
    """The run's points as a table, the last `newest` steps of them or all; a value that is not finite is empty."""
    points = Point.objects.filter(series__run=run, superseded=False)
    columns = ("series__phase", "series__name", "step", "value", "flops", "tokens", "seconds")
    found = points.order_by("-step", "series") if newest else points.order_by("series", "step")
    headings = ("phase", "series", "step", "value", "FLOPs", f"{run.arm.spec.unit}s", "seconds")
    return Table("Points", headings, tuple(found.values_list(*columns)[:newest]))


@require_GET
def points_csv(request: HttpRequest, code: str) -> HttpResponse:
    """All points of the run."""
    run = get_object_or_404(Run.objects.for_user(person(request)), code=code)
    headers = {"Content-Disposition": f'attachment; filename="run-{run.code}.csv"'}
    return HttpResponse(curves(run).csv, content_type="text/csv; charset=utf-8", headers=headers)


@require_GET
def artifact(request: HttpRequest, code: str, name: str) -> HttpResponseBase:
    """One file of a run's weights, as an attachment; `name` only selects among the files that are there."""
    owned = Artifact.objects.filter(run__in=Run.objects.for_user(person(request)), kind="weights")
    found = get_object_or_404(owned.select_related("run__arm"), code=code)
    file = next((file for file in files(found) if file.name == name), None)
    if file is None:
        raise Http404
    offered = f"{slugify(found.run.arm.label) or 'run'}-seed-{found.run.seed}-{name}"
    kind = "application/octet-stream"
    if not isinstance(request, ASGIRequest):
        return FileResponse(file.open("rb"), as_attachment=True, filename=offered, content_type=kind)
    headers = {"Content-Length": str(file.stat().st_size), "Content-Disposition": f'attachment; filename="{offered}"'}
    return StreamingHttpResponse(_pieces(file), content_type=kind, headers=headers)


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    """A file piece by piece: of one that is read as it comes, an ASGI server keeps all in memory."""
    with file.open("rb") as source:
        read = sync_to_async(source.read, thread_sensitive=False)
        while piece := await read(PIECE):
            yield piece


def files(artifact: Artifact) -> list[Path]:
    """The files of an artifact's folder."""
    folder = Path(settings.ARTIFACT_ROOT) / artifact.path
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
