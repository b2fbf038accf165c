"""The main job by hand: define an experiment, launch it, watch it, read what was saved."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.visitor import Visitor

TOWN = "the cat and the dog walk to the sea and see the sun go down over an old town"
LATEST = "Math.max(0, ...document.querySelector('#losses').figure?.data.flatMap(trace => trace.x) ?? [])"
"""The newest step that the loss chart of the open page has drawn."""
FORM = {
    "Title": "Does EST save on walks?",
    "Vocabulary": "300",
    "Context": "16",
    "Budget": "150",
    "Batch size": "4",
    "Evaluations": "10",
}


def _write_text() -> None:
    words = TOWN.split()
    text = "\n\n".join(" ".join(words[(i * 7 + j * j) % len(words)] for j in range(60)) + "." for i in range(300))
    (Path(os.environ["DATA_ROOT"]) / "walks.txt").write_text(text)


def _define(page: Page) -> None:
    """EST, three seeds, on a small text, against the dense baselines that are added."""
    page.get_by_role("link", name="Define the first experiment").click()
    for label, value in FORM.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Data", exact=True).select_option("text:walks.txt")
    page.get_by_label("Model", exact=True).select_option("gpt2-nano")
    page.get_by_role("button", name="Remove Dense").click()
    page.get_by_label("Add an arm").select_option("est")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Label", exact=True).fill("EST")
    page.get_by_label("Fill in from a preset").select_option("est-gpt2")
    page.locator("[id$='.knobs.est.stage2'][value^='0.33']").wait_for()
    for task in ("cloze", "choice", "probe"):
        page.get_by_label(task, exact=True).uncheck()
    page.locator("#plan").get_by_text("9 (3 × 3 seeds)").wait_for()


def _finished() -> int:
    from webapp.runs.models import Run

    states = list(Run.objects.values_list("state", flat=True))
    assert not {"failed", "quarantined", "cancelled"} & set(states), states
    return states.count("succeeded")


def _newest_step() -> int:
    from webapp.runs.models import Point

    return Point.objects.filter(series__name="train/loss").order_by("-step").values_list("step", flat=True).first() or 0


@pytest.mark.timeout(900)
def test_from_a_question_to_a_saving(visitor: Visitor, request: pytest.FixtureRequest) -> None:
    _write_text()
    page = visitor.page
    visitor.sign_in()
    _define(page)
    visitor.photograph("journey-defined")
    page.get_by_role("button", name="Launch").click()
    page.get_by_role("heading", name="Does EST save on walks?").wait_for()
    page.goto("/queue/")
    page.get_by_role("link", name="EST, seed 0").first.click()

    # Only now, or a fast machine has finished the run before its page is open.
    request.getfixturevalue("workers")
    visitor.wait_until(f"{LATEST} > 0", seconds=120)
    visitor.wait_until(f"{LATEST} >= {_newest_step()}", seconds=2)
    visitor.photograph("journey-live")

    deadline = time.monotonic() + 600
    while _finished() < 9:
        assert time.monotonic() < deadline
        time.sleep(1)
    page.goto("/experiments/")
    page.get_by_role("link", name="Does EST save on walks?", exact=True).click()
    answer = page.locator(".answer").inner_text()
    visitor.photograph("journey-compared")
    assert "%" in answer
    assert visitor.complaints == []
