"""Inherited weights charged or sunk: the cost, and that page, charts and files say which."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.webapp.results import planted
from training.records import Purpose
from training.spec import Budget, RunSpec
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun, Unit
from webapp.results.evaluations import Evaluation, Evaluations
from webapp.results.matching import stopped

BILL = (
    Line("train", Purpose.TRAIN, 80.0, 40.0, 8.0, 800),
    Line("teacher", Purpose.SOURCE, 20.0, 20.0, 2.0, 200),
    Line("train", Purpose.REDONE, 5.0, 5.0, 1.0, 50),
)
CHARGED, SUNK = "?tab=frontier", "?tab=frontier&sources=sunk"
INHERITED = 4e10
"""FLOPs of the weights that the planted EST arm inherits."""


def compared(lines: tuple[Line, ...] = BILL) -> Comparison:
    seed = SeedRun("r", 0, "succeeded", (Evaluation(10, 1000, 100.0, 10.0, 2.0),), lines)
    return Comparison("c", "", "", (ArmResult("a", "Dense", 0, True, RunSpec(), (seed,)),))


def test_a_sunk_source_leaves_the_cost_of_the_run_and_of_its_points() -> None:
    from webapp.results import inherited

    (run,) = inherited.sunk(compared()).arms[0].runs
    assert (run.total(Unit.EXECUTED), run.total(Unit.SECONDS), run.total(Unit.TOKENS)) == (80.0, 8.0, 800)
    assert run.evaluations == (Evaluation(10, 800, 80.0, 8.0, 2.0),)


def test_a_sunk_source_leaves_every_one_of_many_points_as_columns() -> None:
    from webapp.results import inherited

    rng = np.random.default_rng(0)
    points = [
        Evaluation(step, 200 + 7 * step, 20.0 + cost, 2.0 + cost / 9, None if step % 1000 == 1 else loss)
        for step, (cost, loss) in enumerate(rng.random((5000, 2)).cumsum(axis=0).tolist(), start=1)
    ]
    (seed,) = compared().arms[0].runs
    comparison = replace(compared(), arms=(replace(compared().arms[0], runs=(replace(seed, evaluations=points),)),))
    (run,) = inherited.sunk(comparison).arms[0].runs
    assert isinstance(run.evaluations, Evaluations)
    assert tuple(run.evaluations) == tuple(
        Evaluation(at.steps, at.tokens - 200, at.executed - 20.0, at.seconds - 2.0, at.loss) for at in points
    )


def test_what_a_source_cost_while_it_was_watched_is_no_cost_below_nothing_and_its_steps_go_too() -> None:
    from webapp.results import inherited

    spec = RunSpec(budget=Budget(tokens=1000))
    points = tuple(Evaluation(s, 100 * s, 10.0 * s, float(s), 5.0 - s / 10) for s in range(1, 11))
    bill = (
        Line("pretrain", Purpose.SOURCE, 40.0, 40.0, 4.0, 400),
        Line("continue", Purpose.TRAIN, 60.0, 60.0, 6.0, 600),
    )
    seed = SeedRun("r", 0, "succeeded", points, bill)
    charged = Comparison("c", "", "", (ArmResult("a", "Continued", 0, True, spec, (seed,)),))
    (arm,) = inherited.sunk(charged).arms
    (run,) = arm.runs
    assert [(at.steps, at.tokens, at.executed) for at in run.evaluations] == [(s, 100 * s, 10.0 * s) for s in range(7)]
    assert (run.total(Unit.STEPS), run.total(Unit.TOKENS)) == (6, 600)
    assert stopped(arm) == stopped(charged.arms[0]) == ()


def test_a_charged_source_is_part_of_the_cost() -> None:
    assert compared().arms[0].runs[0].total(Unit.EXECUTED) == 100.0


def test_a_run_without_a_source_is_the_same_sunk_or_charged() -> None:
    from webapp.results import inherited

    plain = compared(BILL[:1])
    assert inherited.sunk(plain) == plain
    assert not inherited.inherits(plain)


@pytest.fixture
def client(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ada"))
    return client


@pytest.fixture
def code(client: Client) -> str:
    """An experiment whose EST arm starts from weights that cost as much as it saves."""
    experiment = planted.experiment(user=User.objects.get())
    planted.store(experiment, planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)]))
    runs = [_inheriting(planted.run(seed, share=0.9, lag=0.8)) for seed in (1, 2, 3)]
    planted.store(experiment, planted.arm("EST", runs, index=1, spec=RunSpec(methods=("est",))))
    return experiment.code


def _inheriting(run: SeedRun) -> SeedRun:
    source = Line("source", Purpose.SOURCE, INHERITED, INHERITED, 1.0, 0)
    points = tuple(
        Evaluation(at.steps, at.tokens, at.executed + INHERITED, at.seconds + 1.0, at.loss) for at in run.evaluations
    )
    return SeedRun(run.code, run.seed, run.state, points, (*run.lines, source))


def rows(client: Client, code: str, name: str, query: str) -> list[dict[str, str]]:
    body = client.get(reverse("experiment-export", args=[code, name, "csv"]) + query).content.decode()
    return list(csv.DictReader(io.StringIO(body)))


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["frontier", "ledger", "savings", "arms", "curves"])
def test_a_file_holds_the_costs_that_its_address_asks_for_and_says_which(client: Client, code: str, name: str) -> None:
    charged, sunk = (rows(client, code, name, query) for query in (CHARGED, SUNK))
    assert {row.pop("inherited weights") for row in charged} == {"charged"}
    assert {row.pop("inherited weights") for row in sunk} == {"sunk"}
    assert charged != sunk


def test_a_sunk_frontier_costs_less_by_what_was_inherited(client: Client, code: str) -> None:
    charged, sunk = (
        next(row for row in rows(client, code, "frontier", query) if row["arm"] == "EST") for query in (CHARGED, SUNK)
    )
    cost = "executed FLOPs with overheads"
    assert float(charged[cost]) - float(sunk[cost]) == pytest.approx(INHERITED)


def test_parquet_says_it_too(client: Client, code: str) -> None:
    body = client.get(reverse("experiment-export", args=[code, "frontier", "parquet"]) + SUNK).content
    read = pq.read_table(io.BytesIO(body))
    assert set(read.column("inherited weights").to_pylist()) == {"sunk"}
    assert read.schema.metadata[b"caption"].endswith(b"inherited weights: sunk")


@pytest.mark.parametrize(("query", "said"), [(CHARGED, "charged"), (SUNK, "sunk")])
def test_page_chart_and_plotly_json_are_one_and_say_which(client: Client, code: str, query: str, said: str) -> None:
    body = client.get(reverse("experiment", args=[code]) + query).content.decode()
    assert re.search(rf'id="sources-{said}"[^>]*aria-current="true"', body)
    assert f"Inherited weights are {said}" in body
    link = html.unescape(re.search(r'href="([^"]+frontier\.json[^"]*)"', body)[1])  # type: ignore[index]
    exported = client.get(link).json()
    assert exported["layout"]["xaxis"]["title"]["text"].endswith(f"inherited weights {said}")
    drawn = re.search(r'<script id="figure-frontier" type="application/json">(.*?)</script>', body, re.S)
    assert drawn is not None
    assert {**json.loads(drawn[1]), "frames": []} == exported


def test_where_nothing_is_inherited_nobody_is_asked(client: Client) -> None:
    experiment = planted.experiment(user=User.objects.get())
    planted.store(experiment, planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)]))
    body = client.get(reverse("experiment", args=[experiment.code]) + "?tab=ledger").content.decode()
    assert "sources-sunk" not in body
    assert {row["inherited weights"] for row in rows(client, experiment.code, "curves", "")} == {"none"}
