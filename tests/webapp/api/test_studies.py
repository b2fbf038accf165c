"""Studies by REST: launched, refused at the field, read once they have concluded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webapp.api.callers import Api
from tests.webapp.runs.test_studies import finish, runs
from webapp.experiments.models import Experiment
from webapp.runs import studies as sweep
from webapp.runs.models import Run

BODY: dict[str, Any] = {
    "project": "atlas",
    "title": "Which share of code?",
    "study": "dcpt",
    "knobs": {"ratios": [0, 0.25, 0.5, 0.75, 1.0], "evaluations": 4},
}


def test_a_study_is_launched_concluded_and_read(api: Api) -> None:
    answer = api.post("studies", BODY)
    assert answer.status_code == 202, answer.json()
    experiment = Experiment.objects.get(code=answer.json()["code"])
    assert api.get(f"experiments/{experiment.code}/finding").status_code == 404
    while queued := runs(experiment):
        for run in queued:
            finish(run)
        sweep.advance()
    found = api.get(f"experiments/{experiment.code}/finding").json()
    assert found["study"] == "dcpt"
    assert found["finding"]["runs"] == Run.objects.count() == 16
    assert found["finding"]["missing"] == ""


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"study": "nobody"}, "study"),
        ({"knobs": {"steps": -1}}, "knobs.steps"),
        ({"knobs": {"surprise": 1}}, "knobs.surprise"),
        ({"base": {"optim": {"learning_rate": -1}}}, "base.optim.learning_rate"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_what_is_wrong_is_said_by_its_path(changes: dict[str, Any], path: str, api: Api) -> None:
    answer = api.post("studies", BODY | changes)
    assert answer.status_code == 400
    assert path in {error["path"] for error in answer.json()["errors"]} or path in answer.json()["errors"]
    assert not Experiment.objects.exists()
