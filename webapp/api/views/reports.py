"""Reports: list, read, and the frozen data; they are written and reviewed in the browser."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from pydantic import BaseModel, Field
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.bodies import Code, Slug
from webapp.api.operations import Endpoint, operation
from webapp.api.paging import Paged, page
from webapp.api.problems import missing
from webapp.reviews.document import Document
from webapp.reviews.models import Comment, Report, ReportState, Review, Snapshot


class ReportQuery(Paged):
    """Which reports."""

    project: Slug | None = Field(None, description="slug of a project")
    experiment: Code | None = Field(None, description="code of an experiment")
    state: ReportState | None = None


class ReportRow(BaseModel):
    """A report as the list shows it. `sha256` is the hash of its snapshot, null for a draft."""

    code: str
    experiment: str
    project: str
    title: str
    state: ReportState
    revision: int
    author: str | None
    created_at: datetime
    sha256: str | None

    @classmethod
    def of(cls, report: Report, **more: Any) -> Self:
        return cls(
            code=report.code,
            experiment=report.experiment.code,
            project=report.experiment.project.slug,
            title=report.title,
            state=ReportState(report.state),
            revision=report.revision,
            author=report.author.get_username() if report.author else None,
            created_at=report.created_at,
            sha256=report.frozen.sha256 if report.frozen else None,
            **more,
        )


class CommentAnswer(BaseModel):
    """A remark on an embed, or on the whole where `anchor` is empty."""

    code: str
    anchor: str
    text: str
    author: str | None
    at: datetime
    resolved_at: datetime | None

    @classmethod
    def of(cls, remark: Comment) -> Self:
        names = ("code", "anchor", "text", "at", "resolved_at")
        author = remark.author.get_username() if remark.author else None
        return cls(author=author, **{name: getattr(remark, name) for name in names})


class ReviewAnswer(BaseModel):
    """A decision on one revision; `despite` says why it was accepted with open items."""

    revision: int
    accepted: bool
    sentence: str
    despite: str
    reviewer: str | None
    at: datetime

    @classmethod
    def of(cls, review: Review) -> Self:
        names = ("accepted", "sentence", "despite", "at")
        reviewer = review.reviewer.get_username() if review.reviewer else None
        return cls(
            revision=review.snapshot.revision, reviewer=reviewer, **{name: getattr(review, name) for name in names}
        )


class ReportAnswer(ReportRow):
    """A report with its text as it is now, its comments and its reviews, oldest first."""

    body: str
    comments: list[CommentAnswer]
    reviews: list[ReviewAnswer]

    @classmethod
    def read(cls, report: Report) -> Self:
        remarks = report.comments.select_related("author").order_by("id")
        reviews = Review.objects.filter(snapshot__report=report).select_related("snapshot", "reviewer").order_by("id")
        return cls.of(
            report,
            body=report.body,
            comments=[CommentAnswer.of(remark) for remark in remarks],
            reviews=[ReviewAnswer.of(review) for review in reviews],
        )


class ReportPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[ReportRow]
    next: str | None


def report_of(request: Request, code: str) -> Report:
    """The caller's report; a 404 for those of others."""
    rows = Report.objects.for_user(request.user).select_related("experiment__project", "author")
    return get_object_or_404(rows, code=code)


class Reports(Endpoint):
    """All reports of the caller's projects."""

    @operation("reports_list", ReportPage, query=ReportQuery)
    def get(self, request: Request, query: ReportQuery) -> HttpResponseBase:
        """List reports, newest first."""
        names = {"project": "experiment__project__slug", "experiment": "experiment__code", "state": "state"}
        asked = {field: value for name, field in names.items() if (value := getattr(query, name)) is not None}
        rows = Report.objects.for_user(request.user).filter(**asked).select_related("experiment__project", "author")
        found, cursor = page(rows, request, query)
        return Response(ReportPage(items=[ReportRow.of(row) for row in found], next=cursor))


class ReportDetail(Endpoint):
    """One report."""

    @operation("reports_read", ReportAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read a report with its text, comments and reviews."""
        return Response(ReportAnswer.read(report_of(request, code)))


class ReportSnapshot(Endpoint):
    """What was frozen."""

    @operation("reports_snapshot", Document)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read the frozen data of a report: exactly the bytes that its SHA-256 is of. A draft has none."""
        found: Snapshot | None = report_of(request, code).frozen
        if found is None:
            raise missing()
        return HttpResponse(found.body, content_type="application/json")
