"""A study from the form to its finding: planned, refused, launched, trained, concluded, taken away, cancelled."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.browser.visitor import Visitor
from webapp.experiments.models import Experiment
from webapp.runs.models import Run

SMALL = {
    "Title": "Which share of code?", "Domain shares": "0, 0.5, 2", "Steps of the mixture": "20",
    "Steps of the base": "10", "Evaluations": "4", "Batch size": "4",
}  # fmt: skip


def taken(visitor: Visitor, panel: str, kind: str) -> Path:
    """What a link or button below a panel downloads."""
    with visitor.page.expect_download() as waiting:
        visitor.page.locator(f"section.{panel} .exports").get_by_text(kind, exact=True).click()
    return Path(waiting.value.path())


@pytest.mark.timeout(600)
def test_a_study_is_planned_launched_and_read(visitor: Visitor, workers: None) -> None:
    page = visitor.page
    visitor.sign_in()
    page.goto("/experiments/new/")
    page.get_by_role("link", name="Plan a study").click()
    page.get_by_role("link", name="Plan it").click()
    for label, value in SMALL.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("gpt2-tiny (").uncheck()
    page.get_by_label("Check", exact=True).uncheck()
    page.locator("#plan").get_by_role("link", name="Domain shares").wait_for()
    assert page.get_by_text("shares lie between 0 and 1").count() == 2
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("Domain shares").input_value() == "0, 0.5, 2"
    assert not Experiment.objects.exists()

    page.get_by_label("Domain shares").fill("0, 0.5, 1")
    page.locator("#plan").get_by_text("6 (6 × 1 seed)").wait_for()
    assert page.locator("#grid tbody tr").count() == 6
    visitor.photograph("study-planned")
    assert (visitor.violations(), visitor.overflow()) == ([], 0)
    page.get_by_role("button", name="Launch").click()
    page.get_by_text("Launched 6 runs").wait_for()
    page.get_by_role("button", name="Cancel the 6 open runs").wait_for()
    page.evaluate("document.body.dataset.same = 'yes'")
    visitor.wait_until("document.querySelectorAll('.chart svg').length > 0", seconds=420)
    assert page.evaluate("document.body.dataset.same") == "yes"
    assert page.get_by_text("Concluded from the 6 runs").is_visible()
    assert page.get_by_role("button", name="Cancel").count() == 0

    measured = list(csv.DictReader(taken(visitor, "points", "CSV").read_text().splitlines()))
    assert len(measured) == 24
    assert taken(visitor, "fits", "Parquet").read_bytes()[:4] == b"PAR1"
    assert len(json.loads(taken(visitor, "domain", "Plotly JSON").read_bytes())["data"]) == 4
    picture = taken(visitor, "general", "PNG").read_bytes()
    assert picture[:4] == b"\x89PNG"
    assert len(picture) > 10_000
    visitor.photograph("study-concluded")
    assert (visitor.violations(), visitor.overflow()) == ([], 0)
    assert [text for text in visitor.complaints if "422" not in text] == []


def test_open_runs_of_a_study_are_cancelled(visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in()
    page.goto("/studies/dcpt/new/")
    page.get_by_label("Title").fill("Never mind")
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("button", name="Cancel the 15 open runs").click()
    page.get_by_text("Cancelled 15 runs").wait_for()
    assert set(Run.objects.values_list("state", flat=True)) == {"cancelled"}
    assert (visitor.violations(), visitor.complaints) == ([], [])
