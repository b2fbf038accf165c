"""Pages of reports: the list, a report with its comments and reviews, its export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from webapp.pages import page_of
from webapp.reviews import services
from webapp.reviews.composing import compose
from webapp.reviews.document import Document
from webapp.reviews.forms import CommentForm, DecisionForm
from webapp.reviews.models import Comment, Report, ReportState, Review, Snapshot
from webapp.reviews.rendering import article
from webapp.reviews.services import Late, Refused, may_judge
from webapp.reviews.syntax import BadReport
from webapp.teams.access import may, person, require
from webapp.teams.models import Role

WHOLE = "The whole report"


def report_of(request: HttpRequest, code: str) -> Report:
    """404 for people outside its project: nobody else learns that it exists."""
    visible = Report.objects.for_user(person(request)).select_related("experiment__project", "author")
    return get_object_or_404(visible, code=code)


@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    """The list; state and page are in the address."""
    state = request.GET.get("state", "")
    found = Report.objects.for_user(person(request)).select_related("experiment__project", "author")
    found = found.filter(state=state) if state in ReportState.values else found
    found = found.annotate(open_comments=Count("comments", filter=Q(comments__resolved_at=None)))
    context = {"page": page_of(found.order_by("-created_at", "-id"), request), "state": state, "states": ReportState}
    return render(request, "reviews/list.html", context)


@require_safe
def report(request: HttpRequest, code: str) -> HttpResponse:
    """A draft as it would be frozen now; else what was frozen, from the snapshot alone."""
    return _page(request, report_of(request, code))


def _page(
    request: HttpRequest,
    report: Report,
    decision: DecisionForm | None = None,
    remark: CommentForm | None = None,
    status: int = 200,
) -> HttpResponse:
    user, project, frozen = person(request), report.experiment.project, report.frozen
    document, problems = _shown(report)
    judging = report.state == ReportState.IN_REVIEW and may_judge(user, report)
    comments = list(report.comments.select_related("author", "resolved_by").order_by("id"))
    start = {"anchor": request.GET.get("on", "")}
    context = {
        "report": report,
        "frozen": frozen,
        "document": document,
        "article": document and article(document, sha256=frozen.sha256 if frozen else ""),
        "problems": problems,
        "threads": _threads(document, comments),
        "open_comments": sum(remark.resolved_at is None for remark in comments),
        "writing": may(user, project),
        "commenting": may(user, project, Role.REVIEWER),
        "remark": remark or CommentForm(initial=start, anchors=_anchors(document, comments)),
        "snapshots": report.snapshots.select_related("review").order_by("-revision"),
        "decision": decision or (_decision(frozen) if judging and frozen else None),
        "reviews": Review.objects.filter(snapshot__report=report).select_related("reviewer", "snapshot").order_by("id"),
    }
    return render(request, "reviews/report.html", context, status=status)


def _shown(report: Report) -> tuple[Document | None, Sequence[str]]:
    """What was frozen, else the draft of now; or why a draft cannot be shown, as when its chart has vanished."""
    try:
        return (report.frozen.document if report.frozen else compose(report, timezone.now())), ()
    except BadReport as refusal:
        return None, refusal.problems


def _decision(frozen: Snapshot) -> DecisionForm:
    start = {"revision": frozen.revision}
    return DecisionForm(initial=start, has_open_items=bool(frozen.document.open_items))


def _titles(document: Document | None) -> dict[str, str]:
    """What can be commented on, by anchor."""
    embeds = document.embeds if document else ()
    return {"": WHOLE} | {embed.anchor: f"{embed.title} ({embed.kind}, {embed.unit})" for embed in embeds}


def _anchors(document: Document | None, comments: list[Comment]) -> list[tuple[str, str]]:
    """Each with the number of its comments."""
    counts = [remark.anchor for remark in comments]
    return [(anchor, f"{title}: {counts.count(anchor)}") for anchor, title in _titles(document).items()]


def _threads(document: Document | None, comments: list[Comment]) -> list[tuple[str, str, list[Comment]]]:
    """Anchor, title and comments wherever there are some; an embed that the report dropped keeps its own."""
    titles = _titles(document)
    gone = {remark.anchor: f"{remark.anchor}, no longer in the report" for remark in comments}
    every = titles | {anchor: title for anchor, title in gone.items() if anchor not in titles}
    by_anchor = [(anchor, title, [one for one in comments if one.anchor == anchor]) for anchor, title in every.items()]
    return [thread for thread in by_anchor if thread[2]]


@require_POST
def review(request: HttpRequest, code: str) -> HttpResponse:
    """Accept or return what was frozen."""
    report = report_of(request, code)
    services.require_judge(person(request), report)
    frozen = report.frozen
    form = DecisionForm(request.POST, has_open_items=bool(frozen and frozen.document.open_items))
    if form.is_valid():
        given: dict[str, Any] = dict(form.cleaned_data)
        try:
            services.decide(report, person(request), accepted=given.pop("verdict") == "accept", **given)
            return redirect("report", code)
        except Late as refusal:
            messages.error(request, f"Not decided: {refusal}.")
            return redirect("report", code)
        except Refused as refusal:
            for field, problem in refusal.problems.items():
                form.add_error(field, problem)
    return _page(request, report, decision=form, status=422)


@require_POST
def comment(request: HttpRequest, code: str) -> HttpResponse:
    """Add a comment."""
    report = report_of(request, code)
    require(person(request), report.experiment.project, Role.REVIEWER)
    form = CommentForm(request.POST, anchors=list(_titles(_shown(report)[0]).items()))
    if form.is_valid():
        try:
            made = services.comment(report, person(request), **form.cleaned_data)
            return redirect(f"{request.path.removesuffix('comments/')}#comment-{made.code}")
        except (Refused, BadReport) as refusal:  # what was there for the form has vanished since
            form.add_error("anchor", str(refusal))
    return _page(request, report, remark=form, status=422)


@require_POST
def resolve(request: HttpRequest, code: str, remark: str) -> HttpResponse:
    """Settle a comment."""
    report = report_of(request, code)
    require(person(request), report.experiment.project, Role.REVIEWER)
    services.resolve(get_object_or_404(Comment, report=report, code=remark), person(request))
    return redirect(f"{request.path.partition('comments/')[0]}#comment-{remark}")
