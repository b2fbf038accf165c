"""Cloning an experiment into a new form."""

from __future__ import annotations

import json

import pytest

from tests.webapp.experiments.filling import NEW, asked, values_of, with_est
from tests.webapp.people import member
from webapp.experiments.models import Experiment
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


def test_a_clone_asks_the_same_again() -> None:
    client = member()
    client.post(NEW, with_est(client, seeds="4, 8", **{"arms.1.knobs.est.heads": "0.25"}))
    first = Experiment.objects.get()
    client.post(NEW, asked(client, f"{NEW}?clone={first.code}"))
    second = Experiment.objects.exclude(pk=first.pk).get()
    digests = [set(experiment.arms.values_list("digest", "is_baseline")) for experiment in (first, second)]
    assert digests[0] == digests[1]
    assert sorted(Run.objects.filter(arm__experiment=second).values_list("seed", flat=True)) == [4, 4, 4, 8, 8, 8]


def test_a_clone_makes_its_matched_baselines_anew() -> None:
    client = member()
    client.post(NEW, asked(client, f"{NEW}?method=est"))
    values = asked(client, f"{NEW}?clone={Experiment.objects.get().code}", **{"budget.amount": "300"})
    client.post(NEW, values)
    again = Experiment.objects.latest("pk").arms.order_by("pk")
    assert [arm.spec.steps() for arm in again][:2] == [300, 300]
    assert [arm.label for arm in again][1:] == [
        "Dense, equal steps",
        "Dense, equal FLOPs (Evolving Subnetwork Training)",
    ]


def test_a_clone_of_arms_that_differ_in_more_than_knobs_keeps_what_they_differ_in() -> None:
    client = member()
    specs = [
        {"budget": {"steps": 40}},
        {"budget": {"tokens": 4096}, "methods": ["est"], "knobs": {"est": {"heads": 0.25}}},
        {
            "budget": {"steps": 80},
            "optim": {"beta1": 0.8},
            "data": {"context": 64},
            "evals": ["cloze"],
            "methods": ["est"],
        },
    ]
    body = {
        "project": "lab", "title": "By REST", "seeds": [3], "queue": "gpu-far", "matched_baselines": False,
        "arms": [{"label": f"arm {n}", "spec": spec, "is_baseline": n == 1} for n, spec in enumerate(specs)],
    }  # fmt: skip
    code = client.post("/api/v1/experiments", json.dumps(body), content_type="application/json").json()["code"]
    answer = client.post(NEW, values_of(client.get(f"{NEW}?clone={code}")))
    assert answer.status_code == 302, answer.context["form"].errors
    facts = [
        list(experiment.arms.order_by("pk").values_list("label", "digest", "is_baseline", "runs__seed", "runs__queue"))
        for experiment in Experiment.objects.order_by("pk")
    ]
    assert facts[0] == facts[1]
