"""Runs: list, read, act on, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import FileResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from training import records
from training.evaluation.lm_eval import lm_eval_json
from webapp.api.bodies import RunQuery
from webapp.api.operations import operation
from webapp.api.paging import page
from webapp.api.problems import Problem, missing
from webapp.api.run_answers import LmEvalAnswer, RunAnswer, RunRow, contents
from webapp.runs import lifecycle
from webapp.runs.models import Artifact, Run, RunQuerySet, State
from webapp.teams.access import require


class RunPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[RunRow]
    next: str | None


def visible(request: Request) -> RunQuerySet:
    """The caller's runs with what every answer names."""
    return Run.objects.for_user(request.user).select_related("arm__experiment__project")


def run_of(request: Request, code: str) -> Run:
    """The caller's run; a 404 for those of others."""
    return get_object_or_404(visible(request), code=code)


class Runs(APIView):
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


class RunDetail(APIView):
    """One run."""

    @operation("runs_read", RunAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read a run: where it stands, its attempts, environment, costs, scores and failure."""
        return Response(RunAnswer.read(run_of(request, code)))


class _Action(APIView):
    """Asks for a change; asking again for what was already asked changes nothing."""

    def act(
        self, request: Request, code: str, move: Callable[[Run, Any], bool], already: Callable[[Run], bool]
    ) -> Response:
        run = run_of(request, code)
        require(request.user, run.arm.experiment.project)
        moved = move(run, request.user.get_username())
        run.refresh_from_db()
        if not moved and not already(run):
            raise Problem(409, "state", f"The run is {run.state}.")
        return Response(RunAnswer.read(run))


class Cancel(_Action):
    """Stop for good."""

    @operation("runs_cancel", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Cancel a run: at once while it waits, at its next step while it trains."""
        return self.act(request, code, lifecycle.cancel, lambda run: run.cancel_requested_at is not None)


class Pause(_Action):
    """Stop for a while."""

    @operation("runs_pause", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Pause a run: it keeps a checkpoint and gives its worker back."""
        return self.act(request, code, lifecycle.pause, lambda run: False)


class Resume(_Action):
    """Go on after a pause."""

    @operation("runs_resume", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Resume a paused run from its last checkpoint."""
        return self.act(request, code, lifecycle.resume, lambda run: False)


class Retry(_Action):
    """Try again."""

    @operation("runs_retry", RunAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Queue a failed, cancelled or quarantined run again, from its last checkpoint."""
        return self.act(request, code, lifecycle.reopen, lambda run: run.state == State.QUEUED)


class LmEval(APIView):
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


class ArtifactFile(APIView):
    """A file of a finished model."""

    @operation("artifacts_download", {(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: Request, query: object, code: str, name: str) -> HttpResponseBase:
        """Download a file of a run's weights; `weights` of the run lists them."""
        rows = Artifact.objects.filter(run__in=Run.objects.for_user(request.user), kind="weights")
        artifact = get_object_or_404(rows, code=code)
        file = next((file for file in contents(artifact) if file.name == name), None)
        if file is None:
            raise missing()
        answer = FileResponse(
            file.open("rb"), as_attachment=True, filename=file.name, content_type="application/octet-stream"
        )
        answer["X-Content-Type-Options"] = "nosniff"
        return answer
