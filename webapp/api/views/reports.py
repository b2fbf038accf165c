"""Reports: list, read, write, submit, judge, comment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from pydantic import BaseModel
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.idempotency import once
from webapp.api.operations import Endpoint, operation
from webapp.api.paging import page
from webapp.api.problems import Problem, missing, refused
from webapp.api.report_answers import CommentAnswer, ReportAnswer, ReportRow
from webapp.api.report_bodies import CommentBody, DecisionBody, DraftBody, EditBody, ReportQuery, SubmitBody
from webapp.api.views.experiments import experiment_of
from webapp.reviews import services
from webapp.reviews.composing import draft
from webapp.reviews.document import Document
from webapp.reviews.models import Comment, Report, Snapshot
from webapp.reviews.syntax import BadReport
from webapp.teams.access import person, require
from webapp.teams.models import Role


class ReportPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[ReportRow]
    next: str | None


def report_of(request: Request, code: str) -> Report:
    """The caller's report; a 404 for those of others."""
    rows = Report.objects.for_user(request.user).select_related("experiment__project", "author")
    return get_object_or_404(rows, code=code)


def attempt(request: Request, act: Callable[[], Response]) -> HttpResponseBase:
    """Act once per idempotency key; what the services refuse is told by field."""
    try:
        return once(request, to_json(request.data), act)
    except BadReport as refusal:
        raise refused({"body": str(refusal)}) from None
    except services.Late as refusal:
        raise Problem(409, "state", f"Not done: {refusal}.", {"revision": str(refusal)}) from None
    except services.Refused as refusal:
        raise refused(refusal.problems) from None


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

    @operation("reports_create", ReportAnswer, body=DraftBody, status=201, once=True)
    def post(self, request: Request, query: object, body: DraftBody) -> HttpResponseBase:
        """Begin a report about an experiment as a draft."""
        experiment = experiment_of(request, body.experiment)
        require(request.user, experiment.project)

        def act() -> Response:
            text = draft(experiment) if body.body is None else body.body
            report = services.create(experiment, person(request), title=body.title, body=text)
            location = reverse("api:report", kwargs={"code": report.code})
            answer = ReportAnswer.read(report_of(request, report.code))
            return Response(answer, status=201, headers={"Location": location})

        return attempt(request, act)


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
        return _frozen(report_of(request, code).frozen)


class RevisionSnapshot(Endpoint):
    """What was frozen once."""

    @operation("reports_revision_snapshot", Document)
    def get(self, request: Request, query: object, code: str, revision: int) -> HttpResponseBase:
        """Read what was frozen when a revision was submitted; `snapshots` of the report lists them."""
        return _frozen(report_of(request, code).snapshots.filter(revision=revision).first())


def _frozen(found: Snapshot | None) -> HttpResponse:
    if found is None:
        raise missing()
    return HttpResponse(found.body, content_type="application/json")


def move(request: Request, report: Report, change: Callable[[], Any]) -> HttpResponseBase:
    """Change a report; of two that read the same revision, one is told to read again."""

    def act() -> Response:
        change()
        return Response(ReportAnswer.read(report_of(request, report.code)))

    return attempt(request, act)


class Edit(Endpoint):
    """The text."""

    @operation("reports_edit", ReportAnswer, body=EditBody, once=True)
    def post(self, request: Request, query: object, body: EditBody, code: str) -> HttpResponseBase:
        """Write a draft anew; a returned report becomes a draft by it."""
        report = report_of(request, code)
        require(request.user, report.experiment.project)
        return move(request, report, lambda: services.save(report, person(request), **body.model_dump()))


class Submit(Endpoint):
    """To review."""

    @operation("reports_submit", ReportAnswer, body=SubmitBody, once=True)
    def post(self, request: Request, query: object, body: SubmitBody, code: str) -> HttpResponseBase:
        """Freeze a draft with all that it rests on, and send it to review."""
        report = report_of(request, code)
        require(request.user, report.experiment.project)
        return move(request, report, lambda: services.submit(report, person(request), revision=body.revision))


class Decide(Endpoint):
    """The verdict."""

    @operation("reports_review", ReportAnswer, body=DecisionBody, once=True)
    def post(self, request: Request, query: object, body: DecisionBody, code: str) -> HttpResponseBase:
        """Accept or return what was frozen; for reviewers and admins who wrote nothing of it."""
        report = report_of(request, code)
        services.require_judge(person(request), report)
        return move(request, report, lambda: services.decide(report, person(request), **body.model_dump()))


class Comments(Endpoint):
    """What people remark."""

    @operation("reports_comment", CommentAnswer, body=CommentBody, status=201, once=True)
    def post(self, request: Request, query: object, body: CommentBody, code: str) -> HttpResponseBase:
        """Comment on a chart or table of a report, or on the whole."""
        report = report_of(request, code)
        require(request.user, report.experiment.project, Role.REVIEWER)

        def act() -> Response:
            made = services.comment(report, person(request), **body.model_dump())
            made.refresh_from_db()
            return Response(CommentAnswer.of(made), status=201)

        return attempt(request, act)


class Resolve(Endpoint):
    """Settled."""

    @operation("reports_resolve_comment", CommentAnswer)
    def post(self, request: Request, query: object, code: str, remark: str) -> HttpResponseBase:
        """Settle a comment; once more changes nothing."""
        report = report_of(request, code)
        require(request.user, report.experiment.project, Role.REVIEWER)
        found = get_object_or_404(Comment, report=report, code=remark)
        services.resolve(found, person(request))
        found.refresh_from_db()
        return Response(CommentAnswer.of(found))
