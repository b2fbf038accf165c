"""The page of a study, made from runs of two known laws."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.runs.test_studies import finish, launched, runs
from webapp.experiments.models import Experiment
from webapp.runs import studies

pytestmark = pytest.mark.django_db


def page(experiment: Experiment, query: str = "", *, file: str = "") -> str:
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    return client.get(f"/experiments/{experiment.code}/study/{file}{query}").content.decode()


def concluded() -> Experiment:
    experiment = launched(check=False)
    for run in runs(experiment):
        finish(run)
    assert studies.advance() == 1
    return experiment


def test_before_its_end_the_page_says_so_and_is_linked() -> None:
    experiment = launched()
    assert "concludes when its last run has ended" in page(experiment)
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    assert f"/experiments/{experiment.code}/study/" in client.get(f"/experiments/{experiment.code}/").content.decode()


def test_a_finding_is_drawn_answered_and_exported() -> None:
    experiment = concluded()
    body = page(experiment)
    assert body.count('class="chart"') == 2
    assert "of the domain: domain loss" in body
    assert "Extrapolated" not in body.split("<h3>")[1]
    assert "60 points for nine parameters" in body
    assert "None: no mixture keeps" in page(experiment, "?before=0.5")
    assert "Extrapolated" in page(experiment, "?size=1e9").split("<h3>")[1]
    assert "no size is the best" in page(experiment, "?ratio=0")
    assert "Enter a number" in page(experiment, "?size=nan-sense")
    assert page(experiment, file="points.csv").count("\n") == 61


def test_strangers_and_ordinary_experiments_have_no_such_page() -> None:
    experiment = launched()
    client = Client()
    client.force_login(User.objects.create_user("eve"))
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 404
    client.force_login(User.objects.get(username="ada"))
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 200
    Experiment.objects.update(study="")
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 404
