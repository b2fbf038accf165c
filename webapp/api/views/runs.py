"""Runs: list, read, act on, and what they leave behind."""

from __future__ import annotations

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from pydantic import BaseModel, RootModel
from rest_framework.request import Request
from rest_framework.response import Response

from training import records
from training.evaluation.lm_eval import lm_eval_json
from webapp.api.bodies import LogQuery, PointsQuery, RunQuery
from webapp.api.operations import Endpoint, operation
from webapp.api.paging import page
from webapp.api.problems import Problem, missing
from webapp.api.run_answers import ChangeAnswer, LmEvalAnswer, LogAnswer, RunAnswer, RunRow, WaitingAnswer
from webapp.runs import downloads, selectors, waiting
from webapp.runs.models import Run, RunQuerySet
from webapp.runs.views import VERBS
from webapp.teams.access import person, require
from webapp.teams.models import AuditEvent


class RunPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[RunRow]
    next: str | None


class WaitingList(RootModel[list[WaitingAnswer]]):
    """In the order in which workers will take them."""


def visible(request: Request) -> RunQuerySet:
    """The caller's runs with what every answer names."""
    return Run.objects.for_user(request.user).select_related("arm__experiment__project")


def run_of(request: Request, code: str) -> Run:
    """The caller's run; a 404 for those of others."""
    return get_object_or_404(visible(request), code=code)


class Runs(Endpoint):
    """All runs of the caller's projects."""

    @operation("runs_list", RunPage, query=RunQuery)
    def get(self, request: Request, query: RunQuery) -> HttpResponseBase:
        """List runs, newest first."""
        rows = visible(request)
        if query.experiment is not None:
            rows = rows.filter(arm__experiment__code=query.experiment)
        if query.state is not None:
            rows = rows.filter(state=query.state)
        if query.method is not None:
            rows = rows.filter(arm__body__methods__contains=[query.method])
        found, cursor = page(rows, request, query)
        return Response(RunPage(items=[RunRow.of(row) for row in found], next=cursor))


class Queue(Endpoint):
    """What waits."""

    @operation("queue_list", WaitingList)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """List your waiting runs in the order in which workers will take them, with the reason each waits."""
        line = waiting.line(visible(request))
        return Response(WaitingList([WaitingAnswer(run=RunRow.of(run), reason=reason) for run, reason in line]))


class RunDetail(Endpoint):
    """One run."""

    @operation("runs_read", RunAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read a run: where it stands, its attempts, environment, costs, scores and failure."""
        return Response(RunAnswer.read(run_of(request, code)))


class _Action(Endpoint):
    """Asks for a change; asking again for what was already asked changes nothing."""

    def act(self, request: Request, code: str, verb: str, *, already: bool = False) -> Response:
        run = run_of(request, code)
        require(request.user, run.arm.experiment.project)
        move, done = VERBS[verb]
        if move(run, person(request)):
            AuditEvent.objects.create(
                actor=person(request), project=run.arm.experiment.project, verb=done, object=f"run {code}"
            )
        elif not already:
            run.refresh_from_db()
            raise Problem(409, "state", f"The run is {run.state}; it cannot be {done}.")
        return Response(RunAnswer.read(run_of(request, code)))


class Cancel(_Action):
    """Stop for good."""

    @operation("runs_cancel", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Cancel a run: at once while it waits, at its next step while it trains."""
        return self.act(request, code, "cancel", already=run_of(request, code).cancel_requested_at is not None)


class Pause(_Action):
    """Stop for a while."""

    @operation("runs_pause", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Pause a run: it keeps a checkpoint and gives its worker back."""
        return self.act(request, code, "pause")


class Resume(_Action):
    """Go on after a pause."""

    @operation("runs_resume", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Resume a paused run from its last checkpoint."""
        return self.act(request, code, "resume")


class Retry(_Action):
    """Try again."""

    @operation("runs_retry", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Queue a failed, cancelled or quarantined run again, from its last checkpoint."""
        return self.act(request, code, "retry")


class Points(Endpoint):
    """Curves as they grow."""

    @operation("runs_points", ChangeAnswer, query=PointsQuery)
    def get(self, request: Request, query: PointsQuery, code: str) -> HttpResponseBase:
        """Read the points since an event, in the order they came; ask again with `after` = `seq`."""
        change = selectors.delta(run_of(request, code).pk, query.after)
        if query.series is not None:
            change["points"] = [point for point in change["points"] if point["name"] == query.series]
        return Response(change)


class Log(Endpoint):
    """What an attempt printed."""

    @operation("runs_log", LogAnswer, query=LogQuery)
    def get(self, request: Request, query: LogQuery, code: str) -> HttpResponseBase:
        """Read a part of an attempt's log; ask again with `offset` = `next`."""
        attempts = run_of(request, code).attempts.select_related("run").order_by("-n")
        attempt = (attempts if query.attempt is None else attempts.filter(n=query.attempt)).first()
        if attempt is None or not attempt.log.exists():
            raise missing()
        return Response(LogAnswer.read(attempt, query.offset))


class LmEval(Endpoint):
    """Scores for other tools."""

    @operation("runs_lm_eval", LmEvalAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Export the scores of a run in the shape of lm-evaluation-harness's results file."""
        run = run_of(request, code)
        names = records.Score.__dataclass_fields__
        scores = [
            records.Score(**{name: getattr(row, name) for name in names})
            for row in run.scores.order_by("task", "metric")
        ]
        return Response(lm_eval_json(scores, model=str(run.arm), revision=str(run.environment.get("git_revision", ""))))


class ArtifactFile(Endpoint):
    """A file of a finished model."""

    @operation("artifacts_download", {(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, query: object, code: str, name: str) -> HttpResponseBase:
        """Download a file of a run's weights; `weights` of the run lists them."""
        return downloads.artifact(request, code, name)
