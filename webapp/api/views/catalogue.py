"""What can be asked for: projects, methods, the spec's schema, workers."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from pydantic import RootModel
from rest_framework.request import Request
from rest_framework.response import Response

from training import catalog
from webapp.api.answers import MethodAnswer, MethodRow, ProjectAnswer, WorkerAnswer, method_row
from webapp.api.operations import Endpoint, operation
from webapp.api.problems import missing
from webapp.api.schema import spec_schema
from webapp.experiments.forecast import alive
from webapp.results import replications
from webapp.results.settled import settled
from webapp.teams.access import person
from webapp.teams.models import Membership, Role


class ProjectList(RootModel[list[ProjectAnswer]]):
    """All of them."""


class MethodList(RootModel[list[MethodRow]]):
    """All of them, the baseline first."""


class WorkerList(RootModel[list[WorkerAnswer]]):
    """All that are alive."""


class JsonSchema(RootModel[dict[str, Any]]):
    """A JSON schema, draft 2020-12."""


class Projects(Endpoint):
    """The caller's projects."""

    @operation("projects_list", ProjectList)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """List your projects and your role in each."""
        rows = Membership.objects.filter(user=person(request)).select_related("project").order_by("project__name")
        found = [ProjectAnswer(slug=row.project.slug, name=row.project.name, role=Role(row.role)) for row in rows]
        return Response(ProjectList(found))


class Methods(Endpoint):
    """The catalogue."""

    @operation("methods_list", MethodList)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """List the methods."""
        return Response(MethodList([method_row(record) for record in replications.records(person(request)).values()]))


class MethodDetail(Endpoint):
    """A method."""

    @operation("methods_read", MethodAnswer)
    def get(self, request: Request, query: object, name: str) -> HttpResponseBase:
        """Read a method's card: what it does, its knobs, what its paper claims and what was measured."""
        if name not in catalog.names():
            raise missing()
        return Response(MethodAnswer.of(replications.record(catalog.card(name), settled(person(request)))))


class Spec(Endpoint):
    """The schema of a spec."""

    @operation("spec_read", JsonSchema)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """Read the JSON schema of a spec, the knobs of every method included."""
        return Response(spec_schema())


class Workers(Endpoint):
    """Who trains."""

    @operation("workers_list", WorkerList)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """List the workers heard of within a lease."""
        return Response(WorkerList([WorkerAnswer.model_validate(row) for row in alive().order_by("name")]))
