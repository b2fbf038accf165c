"""Pages of experiments."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from tests.webapp.experiments.filling import NEW, asked
from tests.webapp.people import member
from webapp.experiments.models import Experiment
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db


def test_an_archived_experiment_leaves_the_list_and_comes_back() -> None:
    client = member()
    client.post(NEW, asked(client))
    archive = reverse("experiment-archive", args=[Experiment.objects.get().code])
    client.post(archive, {"archived": "1"})
    assert list(client.get("/experiments/").context["page"].object_list) == []
    client.post(archive, {"archived": "0"})
    assert len(client.get("/experiments/").context["page"].object_list) == 1


def test_a_viewer_launches_nothing() -> None:
    assert member(Role.VIEWER).post(NEW, {"title": "x"}).status_code == 403


def test_the_button_on_the_experiments_own_page_archives_it() -> None:
    client = member()
    client.post(NEW, asked(client))
    experiment = Experiment.objects.get()
    for wanted in (True, False):
        page = client.get(f"/experiments/{experiment.code}/").content.decode()
        form = page[page.index(f'action="/experiments/{experiment.code}/archive/"') :].partition("</form>")[0]
        fields = dict(re.findall(r'type="hidden" name="(archived)" value="(.)"', form))
        client.post(f"/experiments/{experiment.code}/archive/", fields)
        experiment.refresh_from_db()
        assert (experiment.archived_at is not None) is wanted


def test_a_reviewer_archives_nothing() -> None:
    owner = member()
    owner.post(NEW, asked(owner))
    reviewer = member(Role.REVIEWER, "grace")
    answer = reviewer.post(reverse("experiment-archive", args=[Experiment.objects.get().code]), {"archived": "1"})
    assert answer.status_code == 403
    assert "needs the role member" in answer.content.decode()


def test_an_experiment_of_another_project_can_neither_be_cloned_nor_archived() -> None:
    owner, stranger = member(), member(username="grace", slug="other")
    owner.post(NEW, asked(owner))
    code = Experiment.objects.get().code
    assert stranger.get(f"{NEW}?clone={code}").status_code == 404
    assert stranger.post(reverse("experiment-archive", args=[code]), {"archived": "1"}).status_code == 404


def test_every_method_has_a_page() -> None:
    client = member()
    from training import catalog

    assert {client.get(f"/methods/{name}/").status_code for name in catalog.names()} == {200}


def test_a_method_page_shows_each_knob_with_its_range() -> None:
    page = member().get("/methods/est/").content.decode()
    assert "Active heads" in page
    assert "above 0 to 1" in page
