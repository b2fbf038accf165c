"""Who may see and do what: every address of the API against every kind of caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.serializers import serialize
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from tests.webapp.api.callers import Api, person, token
from webapp.api import urls
from webapp.datasets.models import Dataset
from webapp.experiments.models import Experiment, Finding
from webapp.reviews import services as reviews
from webapp.reviews.models import Comment, Report
from webapp.runs.models import Artifact, Run
from webapp.teams.models import Membership, Project, Role, Token

OPEN = {
    "projects",
    "methods",
    "method",
    "spec",
    "workers",
    "queue",
    "runs",
    "experiments",
    "datasets",
    "reports",
    "studies",
    "openapi",
}
"""Addresses that answer every person who signed in, each with what that person may see."""
HIDDEN = 404
WRITERS = {Role.MEMBER, Role.ADMIN}
WRITERS_OF = {
    "report-review": {Role.REVIEWER, Role.ADMIN},
    "report-comments": {Role.REVIEWER, *WRITERS},
    "comment-resolve": {Role.REVIEWER, *WRITERS},
}
"""Who may post where it is not members and admins."""


@dataclass
class World:
    """One thing of each kind in a project."""

    body: dict[str, Any]
    codes: dict[str, str] = field(default_factory=dict)
    remark: str = ""

    def posted(self, name: str) -> dict[str, Any]:
        """A body that this address takes."""
        words = {"title": "Report", "body": "{{ table arms }}"}
        bodies: dict[str, dict[str, Any]] = {
            "reports": words | {"experiment": self.codes["experiments"]},
            "studies": {"project": self.body["project"], "title": "Which share?", "study": "dcpt"},
            "report-edit": words | {"revision": 1},
            "report-submit": {"revision": 1},
            "report-review": {"revision": 1, "accepted": False, "sentence": "No."},
            "report-comments": {"text": "Why?"},
        }
        return bodies.get(name, self.body)

    def path(self, route: URLPattern) -> str:
        text = str(route.pattern)
        kind = text.partition("/")[0]
        values = {"<slug:code>": self.codes.get(kind, ""), "<slug:name>": "est", "<str:name>": "config.json"}
        values |= {"<slug:remark>": self.remark, "<int:revision>": "1"}
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        return text


@pytest.fixture
def world(api: Api, request_body: dict[str, Any], project: Project) -> World:
    made = World(request_body)
    made.codes["experiments"] = api.post("experiments", request_body).json()["code"]
    run = Run.objects.first()
    assert run is not None
    made.codes["runs"] = run.code
    weights = Artifact.objects.create(run=run, kind="weights", fence=1, step=1, path="w", bytes=2, sha256="0")
    folder = settings.ARTIFACT_ROOT / "w"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    attempt = run.attempts.create(n=1, fence=1, worker="w")
    attempt.log.parent.mkdir(parents=True, exist_ok=True)
    attempt.log.write_text("step 1\n")
    made.codes["artifacts"] = weights.code
    made.codes["datasets"] = Dataset.objects.create(project=project, name="Text", sha256="0" * 64, bytes=1).code
    author = Membership.objects.get().user
    Finding.objects.create(experiment=run.arm.experiment, body={}, until=run.created_at)
    report = reviews.create(run.arm.experiment, author, title="Report", body="{{ table arms }}")
    reviews.submit(report, author, revision=1)
    made.codes["reports"] = report.code
    made.remark = reviews.comment(report, author, anchor="", text="Why?").code
    return made


ROUTES = [route for route in urls.urlpatterns if isinstance(route, URLPattern) and route.name != "nowhere"]


def verbs(route: URLPattern) -> list[str]:
    view = route.callback.cls  # type: ignore[attr-defined]
    return [verb for verb in ("get", "post") if hasattr(view, verb)]


CALLS = [pytest.param(route, verb, id=f"{verb} {route.pattern}") for route in ROUTES for verb in verbs(route)]


def call(api: Api, world: World, route: URLPattern, verb: str) -> int:
    if verb == "get":
        return int(api.get(world.path(route)).status_code)
    if route.name == "datasets":
        return int(api.client.post("/api/v1/datasets", {"project": "atlas", "name": "x"}).status_code)
    return int(api.post(world.path(route), world.posted(str(route.name))).status_code)


@pytest.mark.parametrize(("route", "verb"), CALLS)
def test_nobody_without_a_valid_token_gets_in(world: World, route: URLPattern, verb: str) -> None:
    mia = Membership.objects.get().user
    secrets = {
        "none": None,
        "made up": "flopwise_made-up",
        "expired": token(mia, days=-1),
        "revoked": token(mia, revoked_at=timezone.now()),
    }
    assert {name: call(Api(secret), world, route, verb) for name, secret in secrets.items()} == dict.fromkeys(
        secrets, 401
    )


@pytest.mark.parametrize(("route", "verb"), CALLS)
def test_a_stranger_sees_nothing_of_a_project(world: World, route: URLPattern, verb: str) -> None:
    elsewhere = Project.objects.create(name="Other", slug="other")
    stranger = Api(token(person("sam", "admin", elsewhere)))
    status = call(stranger, world, route, verb)
    assert status == (200 if verb == "get" and route.name in OPEN else HIDDEN)
    if status == 200:
        body = stranger.get(world.path(route)).content.decode()
        assert not any(code in body for code in world.codes.values())


@pytest.mark.parametrize(("route", "verb"), CALLS)
def test_a_removed_member_is_a_stranger(world: World, route: URLPattern, verb: str) -> None:
    gone = person("gus")
    assert call(Api(token(gone)), world, route, verb) == (200 if verb == "get" and route.name in OPEN else HIDDEN)


def rows() -> str:
    """All that a project holds."""
    tables: list[type[Model]] = [Experiment, Run, Dataset, Report, Comment]
    return str(serialize("json", [row for table in tables for row in table._default_manager.order_by("pk")]))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("route", "verb"), CALLS)
def test_each_role_reads_all_and_changes_what_it_may(
    world: World, project: Project, route: URLPattern, verb: str, role: Role
) -> None:
    someone, before = Api(token(person("wim", role, project))), rows()
    status = call(someone, world, route, verb)
    if verb == "get" or role in WRITERS_OF.get(str(route.name), WRITERS):
        assert status not in (401, 403, 404)
    else:
        assert (status, rows()) == (403, before)


def test_every_address_under_the_api_is_in_the_matrix() -> None:
    found = {name for name in get_resolver("webapp.api.urls").reverse_dict if isinstance(name, str)}
    assert found == {route.name for route in ROUTES} | {"nowhere"}


def test_a_token_of_a_deactivated_person_is_void(api: Api, member: Any) -> None:
    member.is_active = False
    member.save()
    assert api.get("projects").status_code == 401


def test_a_token_in_the_address_lets_nobody_in(member: Any) -> None:
    assert Client().get("/api/v1/projects", {"token": token(member)}).status_code == 401


def test_a_session_reads_but_writes_only_with_its_csrf_token(
    member: Any, project: Project, request_body: dict[str, Any]
) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(member)
    assert browser.get("/api/v1/projects").status_code == 200
    for kind in ("application/json", "text/plain"):
        refused = browser.post("/api/v1/experiments", request_body, content_type=kind)
        assert (refused.status_code, refused["Content-Type"]) == (403, "application/problem+json")


def test_the_last_use_of_a_token_is_written_once_a_minute(api: Api, member: Any) -> None:
    api.get("projects")
    first = Token.objects.get().last_used_at
    api.get("projects")
    assert first is not None
    assert Token.objects.get().last_used_at == first
    Token.objects.update(last_used_at=first - timedelta(seconds=61))
    api.get("projects")
    assert (Token.objects.get().last_used_at or first) > first


def test_too_many_requests_are_told_when_to_come_again(api: Api, settings: Any) -> None:
    settings.API_RATES = {"read": "2/min", "write": "1/min"}
    answers = [api.get("projects") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    assert answers[2].json()["type"] == "urn:flopwise:problem:too-many-requests"
    assert [api.post("plans").status_code for _ in range(2)] == [400, 429]
