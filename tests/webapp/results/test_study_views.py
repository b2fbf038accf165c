"""The page of a study, made from runs of two known laws."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import plotly.graph_objects as go
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.webapp.people import member
from tests.webapp.runs.test_studies import OTHERS, finish, launched, runs
from webapp.experiments.models import Experiment, Finding
from webapp.runs import studies
from webapp.runs.models import Run
from webapp.teams.models import AuditEvent, Role

pytestmark = pytest.mark.django_db
BYTES = {"data": {"vocab_size": 257}}


def ask(experiment: Experiment, rest: str = "") -> Any:
    client = Client()
    client.force_login(User.objects.get(username="ada"))
    return client.get(f"/experiments/{experiment.code}/study/{rest}")


def page(experiment: Experiment, query: str = "") -> str:
    return str(ask(experiment, query).content.decode())


def rows(experiment: Experiment, name: str, query: str = "") -> list[dict[str, str]]:
    """A table as its CSV has it."""
    return list(csv.DictReader(io.StringIO(ask(experiment, f"{name}.csv{query}").content.decode())))


def concluded(base: dict[str, Any] | None = None, **knobs: Any) -> Experiment:
    experiment = launched(base, **({"check": False} | knobs))
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


def test_every_panel_offers_its_table_and_every_chart_its_figure() -> None:
    experiment = concluded()
    body = page(experiment, "?at=153600")
    offered = re.findall(rf'href="/experiments/{experiment.code}/study/(\w+)\.(\w+)\?at=153600"', body)
    names = ["domain", "general", "points", "fits", "heldout", "costs", "targets"]
    assert [name for name, form in offered if form == "csv"] == names
    assert [name for name, form in offered if form == "parquet"] == names
    assert [name for name, form in offered if form == "json"] == names[:2]
    assert [f'data-png="chart-{name}"' in body for name in names] == [True, True, *[False] * 5]
    for name, form in offered:
        assert ask(experiment, f"{name}.{form}?at=153600").status_code == 200, (name, form)
    for absent in ("fits.json", "checks.csv", "nothing.csv"):
        assert ask(experiment, absent).status_code == 404


def test_what_is_exported_is_what_is_measured() -> None:
    experiment = concluded()
    body = Finding.objects.get().body
    points = rows(experiment, "points")
    assert len(points) == 60
    assert [float(row["domain loss"]) for row in points] == [one["domain"] for one in body["observations"]]
    assert ask(experiment, "points.csv").headers["Content-Disposition"] == (
        f'attachment; filename="{experiment.code}-points.csv"'
    )
    read = pq.read_table(io.BytesIO(ask(experiment, "points.parquet").content)).to_pylist()
    assert [row["general loss"] for row in read] == [one["general"] for one in body["observations"]]


def test_a_chart_is_exported_at_the_tokens_of_the_address() -> None:
    experiment = concluded()
    seen = [one for one in Finding.objects.get().body["observations"] if round(one["tokens"] * 1e9) == 153600]
    table = rows(experiment, "general", "?at=153600")
    assert [float(row["measured"]) for row in table] == [one["general"] for one in seen]
    assert all(abs(float(row["law"]) / float(row["measured"]) - 1) < 0.02 for row in table)
    assert {row["network"] for row in table} == {"gpt2-nano", "gpt2-micro", "gpt2-tiny"}
    figure = go.Figure(json.loads(ask(experiment, "general.json?at=153600").content))
    drawn = [value for trace in figure.data if "measured" in trace.name for value in trace.y]
    assert sorted(drawn) == sorted(one["general"] for one in seen)
    assert table != rows(experiment, "general")


def test_the_cost_of_more_target_domains_is_arithmetic_from_the_runs() -> None:
    """Fifteen mixtures of 2e12 FLOPs each, evaluated four times: a probe is a quarter of one."""
    experiment = concluded()
    names = ("target domains", "a grid for each", "4 source grids and a probe for each")
    found = [tuple(float(row[name]) for name in names) for row in rows(experiment, "targets")]
    grid, probe = 15 * 2e12, 2e12 / 4
    assert found == [(count, count * grid, 4 * grid + count * probe) for count in (1, 2, 5)]
    body = page(experiment)
    assert "arithmetic from the runs of this study" in body
    assert "Across domains" not in body


def test_several_domains_are_drawn_predicted_and_exported() -> None:
    law, music, chess = OTHERS
    experiment = concluded(BYTES, domains=[law, music], probed=[chess])
    body = page(experiment)
    assert body.count('class="chart"') == 3
    told = rows(experiment, "domains")
    assert [row["domain"] for row in told] == ["python-stdlib", law, music, chess]
    assert [int(row["points predicted"]) for row in told] == [59, 59, 59, 3]
    assert all(float(row["largest relative error"]) < float(row["largest relative error without K"]) for row in told)
    found = Finding.objects.get().body["across"]["domains"]
    drawn = rows(experiment, "across", "?at=153600")
    assert [row["domain"] for row in drawn] == ["python-stdlib"] * 5 + [law] * 5 + [music] * 5 + [chess]
    kept = {(one["run"], one["domain"]) for domain in found for one in domain["observations"]}
    assert {(row["run"], float(row["measured"])) for row in drawn} <= kept
    figure = go.Figure(json.loads(ask(experiment, "across.json?at=153600").content))
    lines = [trace.name for trace in figure.data if not trace.name.endswith(", measured")]
    assert lines == ["python-stdlib", law, music, chess]
    assert {"F", "mu", "w1", "w2", "eta"} <= rows(experiment, "law")[0].keys()
    assert "The law across domains is of 3 domains" in body


def test_a_law_across_domains_that_cannot_be_fitted_says_why() -> None:
    law, music, _ = OTHERS
    experiment = launched(BYTES, check=False, domains=[law, music])
    for run in runs(experiment):
        finish(run, "failed" if run.arm.spec.data.domain == music else "succeeded")
    assert studies.advance() == 1
    body = page(experiment)
    assert "2 domains have a grid and a loss that fell at first; a law across domains needs 3." in body
    assert body.count('class="chart"') == 2
    assert ask(experiment, "across.csv").status_code == 404
    assert [row["R2"] for row in rows(experiment, "domains")] == ["", "", ""]


def test_a_finding_from_before_probes_were_booked_is_still_shown() -> None:
    experiment = concluded()
    row = Finding.objects.get()
    del row.body["costs"]["probe"]
    row.save()
    assert "What a probe costs is not known here" in page(experiment)
    assert rows(experiment, "targets")[0]["4 source grids and a probe for each"] == ""


def test_a_study_under_way_tells_how_far_it_is_and_asks_again_until_it_has_concluded() -> None:
    experiment = launched(check=False)
    waiting = runs(experiment)
    for run in waiting[:6]:
        finish(run)
    body = page(experiment)
    assert "6 of 15 runs finished, 0 running, 9 waiting" in body
    assert 'value="0.4' in body
    assert f'hx-get="/experiments/{experiment.code}/study/state/?seen="' in body
    answer = ask(experiment, "state/?seen=")
    assert "HX-Trigger" not in answer.headers

    for run in waiting[6:]:
        finish(run)
    assert 'hx-trigger="every 3s"' in page(experiment)
    studies.advance()
    answer = ask(experiment, "state/?seen=")
    assert answer.headers["HX-Trigger"] == "study-concluded"
    assert "hx-get" not in answer.content.decode()
    assert 'hx-trigger="every 3s"' not in page(experiment)

    Run.objects.filter(pk=waiting[0].pk).update(finished_at=timezone.now())
    assert "it will be concluded anew" in page(experiment)
    assert 'hx-trigger="every 3s"' in page(experiment)


def test_open_runs_are_cancelled_from_the_page_by_whoever_may_launch() -> None:
    experiment = launched()
    for run in runs(experiment)[:-2]:
        finish(run)
    address = f"/experiments/{experiment.code}/study/cancel/"
    viewer = member(Role.VIEWER, "vera")
    assert "Cancel the" not in viewer.get(f"/experiments/{experiment.code}/study/").content.decode()
    assert viewer.post(address).status_code == 403
    assert member(username="eve", slug="other").post(address).status_code == 404
    assert len(runs(experiment)) == 2

    client = Client()
    client.force_login(User.objects.get(username="ada"))
    assert "Cancel the 2 open runs" in page(experiment)
    assert client.get(address).status_code == 405
    assert client.post(address).headers["Location"] == f"/experiments/{experiment.code}/study/"
    assert runs(experiment) == []
    assert AuditEvent.objects.filter(verb="cancelled", object=f"study {experiment.code}").count() == 1
    assert studies.advance() == 1
    body = page(experiment)
    assert "13 of 15 runs finished, 2 cancelled" in body
    assert "Concluded from the 15 runs" in body
    assert "Cancel the" not in body


def test_strangers_and_ordinary_experiments_have_no_such_page() -> None:
    experiment = launched()
    client = Client()
    client.force_login(User.objects.create_user("eve"))
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 404
    for rest in ("state/", "points.csv"):
        assert client.get(f"/experiments/{experiment.code}/study/{rest}").status_code == 404
    client.force_login(User.objects.get(username="ada"))
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 200
    assert client.get(f"/experiments/{experiment.code}/study/points.csv").status_code == 404
    Experiment.objects.update(study="")
    assert client.get(f"/experiments/{experiment.code}/study/").status_code == 404
