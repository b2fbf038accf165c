"""The launch as JSON: the other view of the form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.webapp.experiments.filling import NEW, asked, values_of, with_est
from tests.webapp.people import member
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
VIEW = "/experiments/new/view/"
BODY: dict[str, Any] = {
    "project": "lab",
    "title": "Two ways",
    "arms": [
        {"label": "EST", "spec": {"methods": ["est"], "knobs": {"est": {"heads": 0.25}}, "budget": {"steps": 40}}},
        {"label": "Slow", "spec": {"methods": ["est"], "optim": {"floor": 0.1}, "budget": {"tokens": 409600}}},
    ],
    "seeds": [4, 8],
    "queue": "gpu-far",
    "matched_baselines": False,
    "stop_dominated": True,
}


def written(client: Client, values: dict[str, Any]) -> Any:
    """The body that the form's JSON view shows."""
    return json.loads(client.post(VIEW, values).context["form"]["written"].value())


def told(client: Client, text: str) -> list[str]:
    """What is wrong with a launch typed as JSON; nothing was launched."""
    answer = client.post(NEW, {"written": text})
    assert answer.status_code == 422
    assert not Run.objects.exists()
    return list(answer.context["form"].errors["written"])


def test_the_form_as_json_says_what_was_typed_and_no_defaults() -> None:
    client = member()
    body = written(client, with_est(client, **{"arms.1.knobs.est.heads": "0.25", "seeds": "4, 8"}))
    assert body["arms"][1] == {
        "label": "Evolving Subnetwork Training",
        "is_baseline": False,
        "spec": {"methods": ["est"], "budget": {"steps": 600}, "knobs": {"est": {"heads": 0.25}}},
    }
    assert (body["seeds"], body["title"], body["matched_baselines"]) == ([4, 8], "EST on text", True)


def test_json_of_the_form_is_what_rest_takes() -> None:
    client = member()
    values = with_est(client)
    text = json.dumps(written(client, values))
    assert client.post(NEW, values).status_code == 302
    assert client.post("/api/v1/experiments", text, content_type="application/json").status_code == 202
    digests = [set(found.arms.values_list("digest", "label", "is_baseline")) for found in Experiment.objects.all()]
    assert digests[0] == digests[1]


def test_what_is_no_number_yet_comes_back_as_it_was_typed() -> None:
    client = member()
    body = written(client, asked(client, **{"batch_size": "sixteen"}))
    assert body["arms"][0]["spec"]["batch_size"] == "sixteen"


def test_json_as_a_form_and_back_says_the_same() -> None:
    client = member()
    fields = values_of(client.post(VIEW, {"written": json.dumps(BODY)}))
    assert fields["arms.0.knobs.est.heads"] == 0.25
    again = written(client, fields)
    for ours, theirs in zip(again.pop("arms"), BODY["arms"], strict=True):
        assert RunSpec.model_validate(ours["spec"]).digest() == RunSpec.model_validate(theirs["spec"]).digest()
    assert again == {name: value for name, value in BODY.items() if name != "arms"} | {"question": ""}


def test_a_launch_may_be_typed_as_json() -> None:
    client = member()
    answer = client.post(NEW, {"written": json.dumps(BODY)})
    assert answer.status_code == 302, answer.context["form"].errors
    assert Experiment.objects.get().stop_dominated
    assert sorted(Arm.objects.values_list("label", "runs__seed")) == [("EST", 4), ("EST", 8), ("Slow", 4), ("Slow", 8)]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": [1, 1]}, "seeds: given twice"),
        ({"project": "another"}, "project: you may not launch"),
        ({"arms": [{"label": "E", "spec": {"budget": {"steps": 0}}}]}, "arms.0.spec.budget.steps: "),
        ({"arms": [{"label": "E", "spec": {"data": {"source": "text:gone"}}}]}, "arms.0.spec.data.source: no file"),
        ({"surprise": 1}, "surprise: "),
    ],
)
def test_a_fault_in_the_json_is_told_with_its_path(changes: dict[str, Any], said: str) -> None:
    [message] = told(member(), json.dumps(BODY | changes))
    assert message.startswith(said)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 5000, '{"title": NaN}', '{"seeds": [1], "seeds": [2]}'])
def test_what_is_no_body_is_refused(text: str) -> None:
    assert told(member(), text)


def test_json_that_is_no_launch_stays_json() -> None:
    client = member()
    answer = client.post(VIEW, {"written": '{"title": "half'})
    assert "The body is not JSON" in answer.content.decode()
    assert "{&quot;title&quot;: &quot;half" in answer.content.decode()


def test_the_plan_of_a_launch_as_json_counts_its_runs() -> None:
    client = member()
    plan = client.post("/experiments/new/plan/", {"written": json.dumps(BODY | {"matched_baselines": True})})
    assert plan.context["plan"]["forecast"].runs == 2 * (2 + 4)
