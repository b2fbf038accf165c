"""The compare page as people get it."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pyarrow.parquet as pq
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from tests.webapp.results import planted
from training.spec import Budget, RunSpec
from webapp.experiments.models import Experiment
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
EST = RunSpec(methods=("est",))
SEEDS = (1, 2, 3)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password="correct horse battery")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def against_dense(
    ada: User, *, share: float = 0.9, lag: float = 0.8, label: str = "EST", last: str = "succeeded"
) -> str:
    """Code of an experiment with a dense baseline and an EST arm whose last run is in this state."""
    experiment = planted.experiment(user=ada)
    planted.store(experiment, planted.arm("Dense", [planted.run(seed) for seed in SEEDS]))
    states = ("succeeded", "succeeded", last)
    runs = [planted.run(s, share=share, lag=lag, state=state) for s, state in zip(SEEDS, states, strict=True)]
    planted.store(experiment, planted.arm(label, runs, index=1, spec=EST))
    return experiment.code


def page(client: Client, code: str, query: str = "") -> str:
    response = client.get(reverse("experiment", args=[code]) + query)
    assert response.status_code == 200
    return response.content.decode()


def figure(body: str, name: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(rf'<script id="figure-{name}" type="application/json">(.*?)</script>', body, re.S)
    assert found is not None
    read: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return read


def test_the_page_answers_in_words_first(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada))
    said = body.index("EST saves compute at equal loss.")
    assert said < body.index('data-figure="figure-curves"')
    assert "0.80× the baseline&#x27;s executed FLOPs" in body
    assert "n = 3 seeds (t-interval)" in body


def test_a_censored_arm_is_told_as_such(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada, share=0.7, lag=1.0))
    assert "No evidence that EST saves compute at equal loss." in body
    assert "3 of 3 seeds did not reach it" in body
    assert "no dense baseline at equal FLOPs" in body


def test_the_definitions_are_printed(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada))
    assert "How this was computed" in body
    assert "Never extrapolated" in body


@pytest.mark.parametrize("tab", ["curves", "savings", "frontier", "ledger", "evaluation", "configuration"])
def test_every_tab_opens_by_its_address(client: Client, ada: User, tab: str) -> None:
    body = page(client, against_dense(ada), f"?tab={tab}")
    assert re.search(rf'id="tab-{tab}"[^>]*aria-current="page"', body)


@pytest.mark.parametrize("unit", ["executed", "effective", "tokens", "steps", "seconds"])
def test_every_unit_draws_a_mean_and_a_band_per_arm(client: Client, ada: User, unit: str) -> None:
    traces = figure(page(client, against_dense(ada), f"?unit={unit}"), "curves")["data"]
    roles = [trace["meta"] for trace in traces]
    for index in (0, 1):
        assert {"arm": index, "role": "mean"} in roles
        assert {"arm": index, "role": "band"} in roles


def test_an_unknown_tab_and_unit_fall_back_to_the_first(client: Client, ada: User) -> None:
    assert 'aria-current="page">Curves' in page(client, against_dense(ada), "?tab=<b>&unit=pounds")


def test_htmx_gets_the_results_alone(client: Client, ada: User) -> None:
    response = client.get(reverse("experiment", args=[against_dense(ada)]), headers={"HX-Request": "true"})
    assert response.content.decode().lstrip().startswith('<div id="results"')


def test_people_outside_the_project_learn_nothing(client: Client, ada: User) -> None:
    foreign = planted.experiment()
    for name, args in (("experiment", []), ("experiment-state", []), ("experiment-export", ["arms", "csv"])):
        assert client.get(reverse(name, args=[foreign.code, *args])).status_code == 404


def test_an_anonymous_visitor_is_sent_to_sign_in(ada: User) -> None:
    response = Client().get(reverse("experiment", args=[against_dense(ada)]))
    assert response.headers["Location"].startswith(reverse("login"))


def test_a_label_full_of_markup_is_inert(client: Client, ada: User) -> None:
    label = "<img src=x onerror=alert(1)>"
    code = against_dense(ada, label=label)
    for tab in ("curves", "savings", "frontier", "ledger", "evaluation", "configuration"):
        assert "<img" not in page(client, code, f"?tab={tab}")
    bars = figure(page(client, code, "?tab=ledger"), "ledger")["data"]
    assert "&lt;img" in str(bars[0]["y"])


def test_an_experiment_without_arms_says_what_to_do(client: Client, ada: User) -> None:
    assert "clone it and add some" in page(client, planted.experiment(user=ada).code)


def test_unfinished_runs_are_polled(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada, last="queued"))
    assert "5 of 6 runs finished" in body
    assert 'hx-trigger="every 3s"' in body


def test_finished_runs_are_not_polled(client: Client, ada: User) -> None:
    assert "every 3s" not in page(client, against_dense(ada))


def test_failed_runs_are_counted_in_words(client: Client, ada: User) -> None:
    assert "5 of 6 runs finished, 1 failed" in page(client, against_dense(ada, last="failed"))


def test_the_poll_tells_the_page_when_a_run_has_ended(client: Client, ada: User) -> None:
    code = against_dense(ada, last="queued")
    where = reverse("experiment-state", args=[code])
    assert "HX-Trigger" not in client.get(f"{where}?done=5&evaluated=20").headers
    Run.objects.filter(state="queued").update(state="cancelled", finished_at="2026-01-01T00:00Z")
    assert client.get(f"{where}?done=5").headers["HX-Trigger"] == "results-changed"


def test_the_poll_tells_the_page_when_a_run_was_evaluated(client: Client, ada: User) -> None:
    where = reverse("experiment-state", args=[against_dense(ada, last="queued")])
    assert client.get(f"{where}?done=5&evaluated=19").headers["HX-Trigger"] == "curves-changed"


def test_queries_do_not_grow_with_runs(
    client: Client, ada: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    code = against_dense(ada)
    experiment = Experiment.objects.get(code=code)
    more = [planted.run(seed) for seed in range(4, 24)]
    planted.store(experiment, planted.arm("More", more, index=2, spec=RunSpec(batch_size=32)))
    with django_assert_max_num_queries(9):
        page(client, code)


@pytest.mark.parametrize(
    "name",
    [
        "arms",
        "curves",
        "savings",
        "budgets",
        "frontier",
        "ledger",
        "matrix",
        "evaluation",
        "differences",
        "configuration",
    ],
)
def test_every_table_comes_as_csv(client: Client, ada: User, name: str) -> None:
    response = client.get(reverse("experiment-export", args=[against_dense(ada), name, "csv"]))
    rows = list(csv.reader(io.StringIO(response.content.decode())))
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}


def test_finished_runs_offer_their_scores_to_lm_eval_tools(client: Client, ada: User) -> None:
    links = re.findall(r'href="([^"]+/lm-eval)"', page(client, against_dense(ada, last="queued")))
    assert len(links) == 5
    assert client.get(links[0]).json()["results"]["cloze"]["acc,none"] == pytest.approx(0.3, abs=0.03)


def test_an_unknown_table_is_not_found(client: Client, ada: User) -> None:
    assert client.get(reverse("experiment-export", args=[against_dense(ada), "secrets", "csv"])).status_code == 404


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_tamed(client: Client, ada: User, label: str) -> None:
    response = client.get(reverse("experiment-export", args=[against_dense(ada, label=label), "curves", "csv"]))
    cells = [row[0] for row in csv.reader(io.StringIO(response.content.decode(), newline=""))]
    assert f"'{label}" in cells
    assert label not in cells


def test_negative_numbers_stay_numbers_in_csv(client: Client, ada: User) -> None:
    response = client.get(reverse("experiment-export", args=[against_dense(ada), "budgets", "csv"]))
    (row,) = csv.DictReader(io.StringIO(response.content.decode()))
    assert float(row["loss difference"]) < 0


@pytest.mark.parametrize("name", ["curves", "savings", "frontier", "ledger"])
def test_every_chart_comes_as_plotly_json(client: Client, ada: User, name: str) -> None:
    response = client.get(reverse("experiment-export", args=[against_dense(ada), name, "json"]))
    assert response.json()["data"]
    assert response.headers["Content-Disposition"].endswith(f'-{name}.json"')


def test_a_table_comes_as_parquet(client: Client, ada: User) -> None:
    response = client.get(reverse("experiment-export", args=[against_dense(ada), "curves", "parquet"]))
    assert pq.read_table(io.BytesIO(response.content)).num_rows == 120


def test_a_table_without_a_chart_has_no_figure(client: Client, ada: User) -> None:
    assert client.get(reverse("experiment-export", args=[against_dense(ada), "arms", "json"])).status_code == 404


def test_the_address_holds_the_whole_frontier(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada), "?tab=frontier&unit=seconds&quality=loss&overheads=without")
    for chosen in ("unit-seconds", "overheads-without"):
        assert re.search(rf'id="{chosen}"[^>]*aria-current="true"', body)
    exported = html.unescape(re.search(r'href="([^"]+frontier\.json[^"]*)"', body)[1])  # type: ignore[index]
    assert client.get(exported).json() == {**figure(body, "frontier"), "frames": []}


def test_a_link_of_one_choice_keeps_the_others(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada), "?tab=frontier&unit=seconds&quality=loss")
    link = html.unescape(re.search(r'id="overheads-without" href="([^"]+)"', body)[1])  # type: ignore[index]
    assert link == "?tab=frontier&unit=seconds&quality=loss&overheads=without"


def test_reference_arms_are_left_out_of_the_savings(client: Client, ada: User) -> None:
    code = against_dense(ada)
    twin = planted.arm(
        "Twin", [planted.run(seed, steps=540) for seed in SEEDS], index=2, spec=RunSpec(budget=Budget(steps=540))
    )
    planted.store(Experiment.objects.get(code=code), twin)
    body = page(client, code, "?tab=savings")
    shown = body[body.index('id="title-savings"') : body.index('id="title-arms"')]
    assert "EST" in shown
    assert "Twin" not in shown
    assert "withheld" not in shown


def test_the_forest_plot_is_drawn_at_the_loss_that_the_address_names(client: Client, ada: User) -> None:
    body = page(client, against_dense(ada, share=0.7, lag=1.0), "?tab=savings&goal=50")
    assert re.search(r'id="goal-50"[^>]*aria-current="true"', body)
    assert "At the baseline&#x27;s loss at 50% of its cost" in body


def test_the_evaluation_matrix_is_sorted_by_its_address(client: Client, ada: User) -> None:
    code, rows = against_dense(ada), r'th scope="row"><span class="swatch arm-(\d)'
    body = page(client, code, "?tab=evaluation&sort=arm")
    assert re.findall(rows, body) == ["0", "1"]
    link = re.search(r'aria-sort="ascending"><a id="sort-1" class="sort" href="([^"]+)"', body)
    assert link is not None
    query = html.unescape(link[1])
    assert query == "?tab=evaluation&sort=-arm"
    body = page(client, code, query)
    assert 'aria-sort="descending"' in body
    assert re.findall(rows, body) == ["1", "0"]
    file = client.get(reverse("experiment-export", args=[code, "matrix", "csv"]) + query)
    assert file.content.decode().splitlines()[1].startswith("EST")


def test_a_part_that_has_not_changed_is_not_sent_again(client: Client, ada: User) -> None:
    where, htmx = reverse("experiment", args=[against_dense(ada)]), {"HX-Request": "true"}
    tag = client.get(where, headers=htmx).headers["ETag"]
    assert client.get(where, headers=htmx | {"If-None-Match": tag}).status_code == 304
    assert client.get(f"{where}?tab=frontier", headers=htmx | {"If-None-Match": tag}).status_code == 200
    Run.objects.filter(seed=3).update(state="failed")
    assert client.get(where, headers=htmx | {"If-None-Match": tag}).status_code == 200


def test_an_export_that_has_not_changed_is_not_sent_again(client: Client, ada: User) -> None:
    where = reverse("experiment-export", args=[against_dense(ada), "frontier", "json"])
    tag = client.get(where).headers["ETag"]
    assert client.get(where, headers={"If-None-Match": tag}).status_code == 304
