"""Experiments: list, launch, plan, archive, compare."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from pydantic import BaseModel
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.answers import ExperimentAnswer, ExperimentRow, PlanAnswer
from webapp.api.bodies import ExperimentQuery, LaunchBody, in_body
from webapp.api.comparison import ComparisonAnswer
from webapp.api.idempotency import once
from webapp.api.operations import Endpoint, operation
from webapp.api.paging import page
from webapp.api.problems import missing, refused
from webapp.experiments import planning, services
from webapp.experiments.models import Experiment
from webapp.results import selectors, summary
from webapp.teams.access import person, require
from webapp.teams.models import AuditEvent, Project

EXAMPLE: dict[str, Any] = {
    "project": "demo",
    "title": "Does EST save FLOPs?",
    "arms": [
        {"label": "EST", "spec": {"budget": {"steps": 600}, "methods": ["est"], "knobs": {"est": {"heads": 0.5}}}},
    ],
    "seeds": [0, 1, 2],
}


class ExperimentPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[ExperimentRow]
    next: str | None


def experiment_of(request: Request, code: str) -> Experiment:
    """The caller's experiment; a 404 for those of others."""
    rows = Experiment.objects.for_user(request.user).select_related("project", "owner")
    return get_object_or_404(rows, code=code)


def project_of(request: Request, slug: str) -> Project:
    """The caller's project, to write in."""
    project = Project.objects.for_user(request.user).filter(slug=slug).first()
    if project is None:
        raise missing()
    require(request.user, project)
    return project


class Experiments(Endpoint):
    """All experiments of the caller's projects."""

    @operation("experiments_list", ExperimentPage, query=ExperimentQuery)
    def get(self, request: Request, query: ExperimentQuery) -> HttpResponseBase:
        """List experiments, newest first."""
        rows = Experiment.objects.for_user(request.user).filter(archived_at__isnull=not query.archived)
        if query.project is not None:
            rows = rows.filter(project__slug=query.project)
        found, cursor = page(rows.select_related("project", "owner"), request, query)
        return Response(ExperimentPage(items=[ExperimentRow.of(row) for row in found], next=cursor))

    @operation("experiments_launch", ExperimentAnswer, body=LaunchBody, example=EXAMPLE, status=202, once=True)
    def post(self, request: Request, query: object, body: LaunchBody) -> HttpResponseBase:
        """Launch an experiment: one queued run per arm and seed, matched dense baselines included."""
        project = project_of(request, body.project)
        return once(request, to_json(request.data), lambda: self._launch(request, project, body))

    def _launch(self, request: Request, project: Project, body: LaunchBody) -> Response:
        try:
            experiment = services.launch(
                project=project, owner=person(request), title=body.title, question=body.question,
                arms=body.requests, seeds=body.seeds, queue=body.queue,
                stop_dominated=body.stop_dominated,
            )  # fmt: skip
        except services.LaunchRefused as refusal:
            raise refused(in_body(refusal.problems)) from None
        location = reverse("api:experiment", kwargs={"code": experiment.code})
        return Response(ExperimentAnswer.read(experiment), status=202, headers={"Location": location})


class Plans(Endpoint):
    """What a launch would cost."""

    @operation("experiments_plan", PlanAnswer, body=LaunchBody, example=EXAMPLE)
    def post(self, request: Request, query: object, body: LaunchBody) -> HttpResponseBase:
        """Forecast a launch without launching: runs, FLOPs per arm, seconds, memory."""
        project = project_of(request, body.project)
        asked = body.requests
        problems = services.refusals(project=project, title=body.title, arms=asked, seeds=body.seeds, queue=body.queue)
        if problems:
            raise refused(in_body(problems))
        specs = [(arm.label, arm.spec) for arm in sorted(asked, key=lambda arm: not arm.is_baseline)]
        return Response(PlanAnswer.of(planning.plan(arms=specs, seeds=body.seeds, queue=body.queue, project=project)))


class ExperimentDetail(Endpoint):
    """One experiment."""

    @operation("experiments_read", ExperimentAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read an experiment with its arms, specs and runs."""
        return Response(ExperimentAnswer.read(experiment_of(request, code)))


class _Filing(Endpoint):
    verb: str

    def file(self, request: Request, code: str) -> HttpResponseBase:
        experiment = experiment_of(request, code)
        require(request.user, experiment.project)
        archived = self.verb == "archived"
        with transaction.atomic():
            rows = Experiment.objects.filter(pk=experiment.pk, archived_at__isnull=archived)
            if rows.update(archived_at=timezone.now() if archived else None):
                AuditEvent.objects.create(
                    actor=person(request), project=experiment.project, verb=self.verb, object=f"experiment {code}"
                )
        experiment.refresh_from_db()
        return Response(ExperimentAnswer.read(experiment))


class Archive(_Filing):
    """Out of the lists."""

    verb = "archived"

    @operation("experiments_archive", ExperimentAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Archive an experiment: it leaves the lists and keeps everything."""
        return self.file(request, code)


class Unarchive(_Filing):
    """Back into the lists."""

    verb = "unarchived"

    @operation("experiments_unarchive", ExperimentAnswer)
    def post(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Take an experiment out of the archive."""
        return self.file(request, code)


@method_decorator(conditional_page, name="dispatch")
class ComparisonDetail(Endpoint):
    """The compare page."""

    @operation("experiments_compare", ComparisonAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Compare the arms: totals, scores, savings at equal loss and equal budget, verdicts."""
        experiment = experiment_of(request, code)
        return Response(summary.comparison_json(selectors.comparison(experiment)))
