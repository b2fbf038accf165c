"""Uploaded data."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from pydantic import BaseModel
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.answers import DatasetAnswer
from webapp.api.bodies import DatasetQuery, UploadFields
from webapp.api.idempotency import once
from webapp.api.operations import Endpoint, operation
from webapp.api.paging import page
from webapp.api.problems import refused
from webapp.api.views.experiments import project_of
from webapp.datasets.forms import UploadForm
from webapp.datasets.models import Dataset
from webapp.teams.access import person, writable
from webapp.teams.models import Project


class DatasetPage(BaseModel):
    """Newest first; `next` is the cursor of the next page."""

    items: list[DatasetAnswer]
    next: str | None


def visible(request: Request) -> QuerySet[Dataset]:
    """The data sets of the caller's projects."""
    return Dataset.objects.filter(project__in=Project.objects.for_user(request.user)).select_related("project")


class Datasets(Endpoint):
    """All data sets of the caller's projects."""

    parser_classes = [MultiPartParser]

    @operation("datasets_list", DatasetPage, query=DatasetQuery)
    def get(self, request: Request, query: DatasetQuery) -> HttpResponseBase:
        """List uploaded data sets, newest first."""
        rows = visible(request)
        if query.project is not None:
            rows = rows.filter(project__slug=query.project)
        found, cursor = page(rows, request, query)
        return Response(DatasetPage(items=[DatasetAnswer.of(row) for row in found], next=cursor))

    @operation("datasets_upload", DatasetAnswer, form=UploadFields, status=201, once=True)
    def post(self, request: Request, query: object, body: UploadFields) -> HttpResponseBase:
        """Upload one UTF-8 text or one set of images; the same again in the same project is the same data set.

        Images come as one NPZ (`images`, `labels`; perhaps `classes` and `test_` or `validation_` parts) or as one ZIP
        with a folder of PNG or JPEG files for each class. What the file is, is recognised by its content.
        """
        project_of(request, body.project)
        form = UploadForm(body.model_dump(), request.FILES, projects=writable(person(request)))
        if not form.is_valid():
            raise refused({path: " ".join(map(str, messages)) for path, messages in form.errors.items()})
        content = "\n".join((body.project, body.name, form.facts.sha256)).encode()
        return once(request, content, lambda: self._keep(request, form))

    def _keep(self, request: Request, form: UploadForm) -> Response:
        dataset = form.keep(person(request))
        location = reverse("api:dataset", kwargs={"code": dataset.code})
        return Response(DatasetAnswer.of(dataset), status=201, headers={"Location": location})


class DatasetDetail(Endpoint):
    """One data set."""

    @operation("datasets_read", DatasetAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read what is known of an uploaded data set."""
        return Response(DatasetAnswer.of(get_object_or_404(visible(request), code=code)))
