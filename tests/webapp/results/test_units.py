"""Pages, tables and files count in what the task counts in: tokens of a text, or images."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.results.planted import arm, comparison, experiment, run, store
from training.spec import RunSpec
from webapp.results import closed_forms, loss_chart, tables, wording
from webapp.results.ask import Tab
from webapp.results.comparison import Comparison, Unit
from webapp.results.savings import claims, findings

SPECS = {
    "token": RunSpec(),
    "image": RunSpec.model_validate({"task": "image_classification"}),
}
BOTH = "Mean loss per token, or per image,"
"""The definition that speaks of both."""
METHODS = {"token": ("est",), "image": ("spfde",)}


def results(unit: str) -> Comparison:
    spec = SPECS[unit]
    method = RunSpec.model_validate({**spec.model_dump(exclude={"knobs"}), "methods": METHODS[unit]})
    dense, cheap = [run(seed) for seed in range(3)], [run(seed, share=0.7, lag=0.5) for seed in range(3)]
    return comparison(arm("dense", dense, spec=spec), arm("method", cheap, index=1, spec=method))


def read(page: str) -> str:
    """What the page says of the experiment, charts included, without marks and addresses."""
    words = re.sub(r"<[^>]*>", " ", page.partition("<main")[2])
    return words.replace(BOTH, "")


@pytest.mark.parametrize("unit", SPECS)
def test_charts_and_tables_name_the_unit_of_the_task(unit: str) -> None:
    found = results(unit)
    chart = loss_chart.loss_vs_cost(found, Unit.TOKENS).figure["layout"]
    assert chart["xaxis"]["title"]["text"] == f"{unit}s, log"
    assert chart["yaxis"]["title"]["text"] == f"validation loss (nats per {unit})"
    assert f"per {unit}, formula" in closed_forms.table(found).headings
    assert f"{unit}s" in tables.curves(found).headings
    assert f"{unit}s" in tables.budgets_in_words(claims(findings(found))).headings


@pytest.mark.parametrize("unit", SPECS)
def test_the_answer_counts_in_the_unit_of_the_task(unit: str) -> None:
    (answer,) = wording.answers(findings(results(unit), Unit.TOKENS))
    assert f"the baseline's {unit}s" in " ".join(answer.sentences)


@pytest.mark.django_db
@pytest.mark.parametrize("tab", Tab)
@pytest.mark.parametrize(("unit", "other"), [("token", "image"), ("image", "token")])
def test_no_tab_speaks_of_the_other_unit(unit: str, other: str, tab: Tab) -> None:
    client = Client()
    user = User.objects.create_user("ada")
    client.force_login(user)
    found = experiment(user=user)
    for each in results(unit).arms:
        store(found, each)
    page = read(client.get(f"/experiments/{found.code}/?tab={tab.value}&unit=tokens").content.decode())
    assert f"{unit}s" in page or tab in (Tab.EVALUATION, Tab.CONFIGURATION)
    assert other not in page.replace("image_classification", "")
