"""The calibration page."""

from __future__ import annotations

import pytest

from tests.webapp.experiments.test_forecast import finish, launched
from tests.webapp.experiments.test_planning import PACE, worker
from tests.webapp.people import member
from webapp.experiments.calibration import median_error

pytestmark = pytest.mark.django_db


def finished(*factors: float) -> None:
    worker(pace=PACE)
    for run, factor in zip(launched(seeds=len(factors)), factors, strict=True):
        finish(run, factor)


def test_the_page_states_the_medians_and_how_many_were_inside() -> None:
    client = member()
    finished(1.1, 1.2, 2.0)
    text = client.get("/calibration/").content.decode()
    assert "20.0%" in text
    assert "66.7% of 3" in text
    assert "3 of 3 finished runs" in text


def test_runs_of_other_projects_are_not_shown() -> None:
    finished(1.1)
    text = member(username="eve", slug="other").get("/calibration/").content.decode()
    assert "No run with a forecast has finished" in text


def test_the_median_error_counts_the_device_asked_for() -> None:
    finished(1.1, 1.3)
    count, error = median_error({"cpu"})
    assert count == 2
    assert error == pytest.approx(0.2)
    assert median_error({"another"}) == (0, None)
