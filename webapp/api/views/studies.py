"""Studies: which there are, launching one, and what one found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponseBase
from django.urls import reverse
from pydantic import BaseModel, Field, field_validator
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response

from training import catalog
from training.catalog import StudyCard
from training.knobs import Strict
from webapp.api.answers import ExperimentAnswer
from webapp.api.bodies import FILLED, Line, Readable, Slug
from webapp.api.idempotency import once
from webapp.api.operations import Endpoint, operation
from webapp.api.problems import missing, refused
from webapp.api.views.experiments import experiment_of, project_of
from webapp.experiments import studies
from webapp.experiments.models import Finding
from webapp.experiments.services import LARGEST_SEED, SEEDS, LaunchRefused
from webapp.teams.access import person
from webapp.teams.models import Project

EXAMPLE: dict[str, Any] = {
    "project": "demo", "title": "Which share of code?", "study": "dcpt",
    "knobs": {"ratios": [0, 0.25, 0.5, 0.75, 1], "steps": 600}, "base": {"batch_size": 8}, "seeds": [0],
}  # fmt: skip


class StudyRow(BaseModel):
    """A study. `knobs` is the JSON schema of what it may be told, `base` the spec that its runs share."""

    name: str
    title: str
    paper: str
    text: str
    knobs: dict[str, Any]
    base: dict[str, Any]


class StudyList(BaseModel):
    """All studies."""

    items: list[StudyRow]


class StudyBody(Strict):
    """A study to launch: its knobs, and changes to the spec that its runs share."""

    project: Slug
    title: Annotated[str, Readable, Line] = Field(min_length=1, max_length=200)
    question: Annotated[str, Readable] = Field("", max_length=2000)
    study: Slug = Field(json_schema_extra={"enum": list(catalog.studies())})
    knobs: dict[str, Any] = Field(default_factory=dict)
    base: dict[str, Any] = Field(default_factory=dict)
    seeds: tuple[Annotated[int, Field(ge=0, le=LARGEST_SEED)], ...] = Field(
        (0,), max_length=SEEDS, json_schema_extra=FILLED
    )
    queue: str = Field("cpu", pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="which workers may take the runs")

    @field_validator("study")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in catalog.studies():
            raise ValueError(f"no study {name!r}; there are {', '.join(catalog.studies())}")
        return name


class FindingAnswer(BaseModel):
    """What a study found from the runs that had ended by `until`."""

    study: str
    until: datetime
    finding: dict[str, Any]


def _shared(card: StudyCard) -> dict[str, Any]:
    """What of the spec a person may change: not what the study sets for each run."""
    return {field: value for field, value in card.base.items() if field not in card.decides}


class Studies(Endpoint):
    """All studies."""

    @operation("studies_list", StudyList)
    def get(self, request: Request, query: object) -> HttpResponseBase:
        """List the studies that can be launched."""
        cards = map(catalog.study, catalog.studies())
        return Response(StudyList(items=[
            StudyRow(name=card.name, title=card.title, paper=card.paper, text=card.text,
                     knobs=card.knobs.model_json_schema(), base=_shared(card))
            for card in cards
        ]))  # fmt: skip

    @operation("studies_launch", ExperimentAnswer, body=StudyBody, example=EXAMPLE, status=202, once=True)
    def post(self, request: Request, query: object, body: StudyBody) -> HttpResponseBase:
        """Launch a study: the runs that it asks for first; it asks for more by itself, and concludes."""
        project = project_of(request, body.project)
        return once(request, to_json(request.data), lambda: self._launch(request, project, body))

    def _launch(self, request: Request, project: Project, body: StudyBody) -> Response:
        try:
            knobs, base = studies.judged(body.study, body.knobs, body.base)
            experiment = studies.launch(
                body.study, knobs, base, project=project, owner=person(request), title=body.title,
                question=body.question, seeds=body.seeds, queue=body.queue,
            )  # fmt: skip
        except LaunchRefused as refusal:
            raise refused(refusal.problems) from None
        location = reverse("api:experiment", kwargs={"code": experiment.code})
        return Response(ExperimentAnswer.read(experiment), status=202, headers={"Location": location})


class FindingDetail(Endpoint):
    """What a study found."""

    @operation("experiments_finding", FindingAnswer)
    def get(self, request: Request, query: object, code: str) -> HttpResponseBase:
        """Read what a study found; 404 for an experiment that is no study or has not concluded."""
        found = Finding.objects.filter(experiment=experiment_of(request, code)).select_related("experiment").first()
        if found is None:
            raise missing()
        return Response(FindingAnswer(study=found.experiment.study, until=found.until, finding=found.body))
