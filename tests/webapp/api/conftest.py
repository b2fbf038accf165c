"""A project, a member of it and a request to launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # models need the settings, which the session makes after it loaded this file
    from django.contrib.auth.models import User

    from tests.webapp.api.callers import Api
    from webapp.teams.models import Project


@pytest.fixture(autouse=True)
def _fresh_throttles() -> None:
    from django.core.cache import cache

    cache.clear()


@pytest.fixture
def project(db: None) -> Project:
    from webapp.teams.models import Project

    return Project.objects.create(name="Atlas", slug="atlas")


@pytest.fixture
def member(project: Project) -> User:
    from tests.webapp.api.callers import person

    return person("mia", "member", project)


@pytest.fixture
def api(member: User) -> Api:
    from tests.webapp.api.callers import Api, token

    return Api(token(member))


@pytest.fixture
def request_body() -> dict[str, Any]:
    """A launch of two arms by two seeds."""
    return {
        "project": "atlas",
        "title": "Does EST save?",
        "arms": [
            {"label": "Dense", "spec": {"budget": {"steps": 20}}, "is_baseline": True},
            {"label": "EST", "spec": {"budget": {"steps": 20}, "methods": ["est"], "knobs": {"est": {"heads": 0.25}}}},
        ],
        "seeds": [0, 1],
        "matched_baselines": False,
    }
