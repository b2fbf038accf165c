"""Pages of experiments."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.webapp.people import member
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run, Worker
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db
NEW = "/experiments/new/"


def asked(client: Client, address: str = NEW, **changes: Any) -> dict[str, Any]:
    """The new-experiment form as it is first shown, with these changes."""
    form = client.get(address).context["form"]
    shown = {bound.html_name: bound.value() for bound in form}
    values = {name: value for name, value in shown.items() if value is not None and value is not False}
    return {"project": "lab", "queue": "cpu", **values, "title": "EST on text", **changes}


def refusals(client: Client, **changes: Any) -> dict[str, str]:
    """Launch with these changes; the messages at each field."""
    answer = client.post(NEW, asked(client, **changes))
    assert answer.status_code == 422
    assert not Run.objects.exists()
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def test_the_form_as_shown_launches_a_dense_baseline_on_three_seeds() -> None:
    client = member()
    answer = client.post(NEW, asked(client))
    assert answer.status_code == 302, answer.context["form"].errors
    assert sorted(Run.objects.values_list("arm__label", "seed")) == [("Dense", 0), ("Dense", 1), ("Dense", 2)]


def test_the_first_of_two_methods_is_the_baseline() -> None:
    client = member()
    client.post(NEW, asked(client, methods=["dense", "est"]))
    arms = Arm.objects.order_by("pk").values_list("label", "is_baseline")
    assert list(arms) == [("Dense", True), ("Evolving Subnetwork Training", False)]


def test_a_knob_typed_into_the_form_reaches_the_arm() -> None:
    client = member()
    client.post(NEW, asked(client, methods=["dense", "est"], **{"knobs.est.stage1": "0.4"}))
    assert Arm.objects.get(is_baseline=False).body["knobs"]["est"]["stage1"] == 0.4


@pytest.mark.parametrize(
    ("kind", "amount", "stored"),
    [("steps", "40", {"steps": 40}), ("tokens", "4096", {"tokens": 4096}), ("flops", "1e12", {"flops": 1e12})],
)
def test_a_budget_counts_in_steps_tokens_or_flops(kind: str, amount: str, stored: dict[str, float]) -> None:
    client = member()
    client.post(NEW, asked(client, **{"budget.kind": kind, "budget.amount": amount}))
    assert {k: v for k, v in Arm.objects.get().body["budget"].items() if v is not None} == stored


@pytest.mark.parametrize("amount", ["0", "-5", "99999999999", "many", ""])
def test_a_budget_that_cannot_be_is_refused_at_its_field(amount: str) -> None:
    assert list(refusals(member(), **{"budget.amount": amount})) == ["budget.amount"]


def test_a_knob_out_of_its_range_is_refused_at_its_field() -> None:
    assert list(refusals(member(), methods=["est"], **{"knobs.est.heads": "1.5"})) == ["knobs.est.heads"]


def test_knobs_that_disagree_are_refused_at_their_method() -> None:
    client = member()
    answer = client.post(NEW, asked(client, methods=["est"], **{"knobs.est.stage1": "0.7", "knobs.est.stage2": "0.7"}))
    assert "more than all" in answer.context["form"].method_errors["est"][0]


def test_knobs_of_a_method_that_is_not_picked_are_not_judged() -> None:
    client = member()
    assert client.post(NEW, asked(client, **{"knobs.est.heads": "7"})).status_code == 302


@pytest.mark.parametrize("seeds", ["1, 1", "0", "51", "-3", "a", "2147483648, 1"])
def test_seeds_that_cannot_be_are_refused_at_their_field(seeds: str) -> None:
    assert list(refusals(member(), seeds=seeds)) == ["seeds"]


def test_what_was_typed_is_still_there_after_a_refusal() -> None:
    client = member()
    answer = client.post(NEW, asked(client, seeds="3, 3", question="Does it <b>save</b>?"))
    assert "Does it &lt;b&gt;save&lt;/b&gt;?" in answer.content.decode()


def test_a_model_that_fits_no_worker_is_refused_with_the_estimate() -> None:
    Worker.objects.create(name="cpu-0", queue="cpu", device="small", memory_bytes=10**9)
    found = refusals(member(), **{"model.preset": "gpt2-medium"})
    assert "the largest cpu worker has 953.7" in found["model.preset"]


def test_a_longer_context_than_the_models_is_refused_at_the_model() -> None:
    assert list(refusals(member(), **{"data.context": "300"})) == ["model.preset"]


def test_the_plan_tells_runs_and_flops_and_launches_nothing() -> None:
    client = member()
    plan = client.post("/experiments/new/plan/", asked(client, methods=["dense", "est"])).context["plan"]["forecast"]
    dense = next(arm for arm in plan.arms if arm.is_baseline)
    assert (plan.runs, dense.steps, Run.objects.count()) == (6, 600, 0)


def test_the_plan_of_a_form_with_a_fault_names_it() -> None:
    client = member()
    answer = client.post("/experiments/new/plan/", asked(client, **{"batch_size": "0"}))
    assert '<a href="#id_batch_size">Batch size</a>' in answer.content.decode()


def test_the_plan_says_that_no_worker_has_reported() -> None:
    client = member()
    assert "No worker has reported" in client.get(NEW).content.decode()


def test_a_preset_fills_in_the_knobs() -> None:
    client = member()
    answer = client.post("/experiments/new/preset/est/", asked(client, **{"preset.est": "est-gpt2"}))
    assert 'value="0.3333333333333333"' in answer.content.decode()


def test_a_clone_asks_the_same_again() -> None:
    client = member()
    client.post(NEW, asked(client, methods=["dense", "est"], seeds="4, 8", **{"knobs.est.heads": "0.25"}))
    first = Experiment.objects.get()
    client.post(NEW, asked(client, f"{NEW}?clone={first.code}"))
    second = Experiment.objects.exclude(pk=first.pk).get()
    assert [arm.digest for arm in second.arms.order_by("pk")] == [arm.digest for arm in first.arms.order_by("pk")]
    assert sorted(Run.objects.filter(arm__experiment=second).values_list("seed", flat=True)) == [4, 4, 8, 8]


def test_an_archived_experiment_leaves_the_list_and_comes_back() -> None:
    client = member()
    client.post(NEW, asked(client))
    archive = reverse("experiment-archive", args=[Experiment.objects.get().code])
    client.post(archive, {"archived": "1"})
    assert list(client.get("/experiments/").context["page"].object_list) == []
    client.post(archive, {"archived": "0"})
    assert len(client.get("/experiments/").context["page"].object_list) == 1


def test_a_viewer_launches_nothing() -> None:
    assert member(Role.VIEWER).post(NEW, {"title": "x"}).status_code == 403


def test_a_reviewer_archives_nothing() -> None:
    owner = member()
    owner.post(NEW, asked(owner))
    reviewer = member(Role.REVIEWER, "grace")
    answer = reviewer.post(reverse("experiment-archive", args=[Experiment.objects.get().code]), {"archived": "1"})
    assert answer.status_code == 403
    assert "needs the role member" in answer.content.decode()


def test_an_experiment_of_another_project_can_neither_be_cloned_nor_archived() -> None:
    owner, stranger = member(), member(username="grace", slug="other")
    owner.post(NEW, asked(owner))
    code = Experiment.objects.get().code
    assert stranger.get(f"{NEW}?clone={code}").status_code == 404
    assert stranger.post(reverse("experiment-archive", args=[code]), {"archived": "1"}).status_code == 404


def test_a_text_of_another_project_is_no_data_for_this_one() -> None:
    found = refusals(member(), **{"data.source": "dataset:abcd23456789"})
    assert "no data set" in found["data.source"]


def test_a_hugging_face_id_overrides_the_choice() -> None:
    client = member()
    client.post(NEW, asked(client, **{"data.hub": "roneneldan/TinyStories"}))
    assert Arm.objects.get().body["data"]["source"] == "hf:roneneldan/TinyStories"


def test_every_method_has_a_page() -> None:
    client = member()
    from training import catalog

    assert {client.get(f"/methods/{name}/").status_code for name in catalog.names()} == {200}


def test_a_method_page_shows_each_knob_with_its_range() -> None:
    page = member().get("/methods/est/").content.decode()
    assert "Active heads" in page
    assert "above 0 to 1" in page
