"""Pages of what was frozen: each submitted revision as it stood, for ever, and its files."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from webapp.reviews.models import Snapshot
from webapp.reviews.rendering import article
from webapp.reviews.rendering import export as exported
from webapp.reviews.views import report_of


def taken(request: HttpRequest, code: str, revision: int | None) -> Snapshot:
    """The snapshot of a revision, or what reviewers see now if none is named; 404 where nothing was frozen."""
    report = report_of(request, code)
    found = report.frozen if revision is None else report.snapshots.filter(revision=revision).first()
    if found is None:
        raise Http404("nothing was frozen as this revision")
    return found


@require_safe
def snapshot(request: HttpRequest, code: str, revision: int) -> HttpResponse:
    """A submitted revision, from its snapshot alone."""
    found = taken(request, code, revision)
    context = {
        "report": found.report,
        "snapshot": found,
        "document": found.document,
        "article": article(found.document, sha256=found.sha256, alone=True),
    }
    return render(request, "reviews/snapshot.html", context)


@require_safe
def export(request: HttpRequest, code: str, revision: int | None = None) -> HttpResponse:
    """A snapshot as one HTML file."""
    found = taken(request, code, revision)
    name = f"report-{code}-{found.revision}.html"
    return HttpResponse(exported(found), headers={"Content-Disposition": f'attachment; filename="{name}"'})


@require_safe
def data(request: HttpRequest, code: str, revision: int | None = None) -> HttpResponse:
    """The frozen data: exactly the bytes that the SHA-256 is of."""
    return HttpResponse(taken(request, code, revision).body, content_type="application/json")
