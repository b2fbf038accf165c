"""Another task, and methods that share a run: an experiment on images, from the form to the comparison."""

from __future__ import annotations

import time

import pytest

from tests.browser.test_journey import _finished
from tests.browser.visitor import Visitor
from webapp.experiments.models import Arm

SMALL = {"Title": "Do they add up?", "Budget": "12", "Batch size": "16", "Evaluations": "4", "Seeds": "2"}


@pytest.mark.timeout(900)
def test_a_factorial_plan_on_images(visitor: Visitor, workers: None) -> None:
    page = visitor.page
    visitor.sign_in()
    page.goto("/experiments/new/")
    page.get_by_label("Task", exact=True).select_option("image_classification")
    page.get_by_label("Resolution").wait_for()
    assert page.get_by_label("Vocabulary").count() == 0
    page.get_by_label("Data", exact=True).select_option("digits")
    page.get_by_label("Model", exact=True).select_option("resnet8")
    for label, value in SMALL.items():
        page.get_by_label(label, exact=True).fill(value)
    for method in ("spfde", "fractrain"):
        page.get_by_label("Add an arm").select_option(method)
        page.get_by_role("button", name="Add", exact=True).click()
        page.locator(f"[name$='.methods'][value={method}]").wait_for(state="attached")
    page.get_by_role("button", name="Add their combinations").click()
    page.locator("fieldset.arm").nth(3).wait_for()
    assert page.locator("fieldset.arm legend").last.inner_text().count(" + ") == 1
    page.locator("#plan").get_by_text("× 2 seeds").wait_for()
    visitor.photograph("tasks-defined")
    assert (visitor.violations(), visitor.complaints, visitor.overflow()) == ([], [], 0)
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("heading", name="Do they add up?").wait_for()

    arms = {arm.label: arm.spec for arm in Arm.objects.all()}
    assert {spec.task for spec in arms.values()} == {"image_classification"}
    assert ("spfde", "fractrain") in {spec.methods for spec in arms.values()}
    deadline = time.monotonic() + 600
    while _finished() < 2 * len(arms):
        assert time.monotonic() < deadline
        time.sleep(1)
    page.reload()
    for tab in ("Curves", "Savings", "Ledger", "Evaluation"):
        page.get_by_role("link", name=tab, exact=True).click()
        page.get_by_role("heading", level=2).first.wait_for()
        visitor.wait_until("[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg'))")
        visitor.photograph(f"tasks-{tab.lower()}")
    assert (visitor.violations(), visitor.complaints) == ([], [])
