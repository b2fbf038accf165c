"""Pages of experiments."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.webapp.people import member
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run, Worker
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db
NEW = "/experiments/new/"


def values_of(answer: Any) -> dict[str, Any]:
    """What a browser would post from this page."""
    form = answer.context["form"]
    shown = {bound.html_name: bound.value() for bound in form}
    return {name: value for name, value in shown.items() if value is not None and value is not False}


def asked(client: Client, address: str = NEW, **changes: Any) -> dict[str, Any]:
    """The new-experiment form as it is first shown, with these changes."""
    shown = values_of(client.get(address))
    return {"project": "lab", "queue": "cpu", **shown, "title": "EST on text", **changes}


def edited(client: Client, values: dict[str, Any], do: str, **changes: Any) -> dict[str, Any]:
    """The form after one of its buttons was pressed, without JavaScript."""
    return values_of(client.post("/experiments/new/arms/", values | changes | {"do": do}))


def with_est(client: Client, **changes: Any) -> dict[str, Any]:
    """The form as shown, with an EST arm added."""
    return edited(client, asked(client), "add", **{"add.method": "est"}) | changes


def refusals(client: Client, **changes: Any) -> dict[str, str]:
    """Launch an EST arm with these changes; the messages at each field."""
    answer = client.post(NEW, with_est(client, **changes))
    assert answer.status_code == 422
    assert not Run.objects.exists()
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def test_the_form_as_shown_launches_a_dense_baseline_on_three_seeds() -> None:
    client = member()
    answer = client.post(NEW, asked(client))
    assert answer.status_code == 302, answer.context["form"].errors
    assert sorted(Run.objects.values_list("arm__label", "seed")) == [("Dense", 0), ("Dense", 1), ("Dense", 2)]


def test_a_method_is_launched_with_its_matched_baselines() -> None:
    client = member()
    client.post(NEW, asked(client, f"{NEW}?method=est"))
    assert list(Arm.objects.order_by("pk").values_list("label", "is_baseline")) == [
        ("Evolving Subnetwork Training", False),
        ("Dense, equal steps", True),
        ("Dense, equal FLOPs (Evolving Subnetwork Training)", False),
    ]


def test_a_dense_arm_that_was_asked_for_is_the_baseline() -> None:
    client = member()
    client.post(NEW, with_est(client))
    assert Arm.objects.count() == 3
    assert Arm.objects.get(is_baseline=True).label == "Dense"


def test_without_matched_baselines_only_what_was_asked_for_runs() -> None:
    client = member()
    values = asked(client, f"{NEW}?method=est")
    del values["matched_baselines"]
    client.post(NEW, values)
    assert [arm.label for arm in Arm.objects.all()] == ["Evolving Subnetwork Training"]


@pytest.mark.parametrize("ticked", [True, False])
def test_dominated_arms_are_paused_where_the_form_asks(ticked: bool) -> None:
    client = member()
    client.post(NEW, asked(client, **({"stop_dominated": "on"} if ticked else {})))
    assert Experiment.objects.get().stop_dominated is ticked
    assert values_of(client.get(f"{NEW}?clone={Experiment.objects.get().code}")).get("stop_dominated", False) is ticked


def test_a_refused_launch_still_asks_to_pause_dominated_arms() -> None:
    client = member()
    answer = client.post(NEW, asked(client, stop_dominated="on", batch_size="no number"))
    assert answer.status_code == 422
    assert values_of(answer)["stop_dominated"] is True


def test_a_knob_typed_into_the_form_reaches_the_arm() -> None:
    client = member()
    client.post(NEW, with_est(client, **{"arms.1.knobs.est.stage1": "0.4"}))
    assert Arm.objects.get(body__methods=["est"]).body["knobs"]["est"]["stage1"] == 0.4


def test_a_method_may_have_several_arms_with_other_knobs() -> None:
    client = member()
    values = edited(client, with_est(client), "add", **{"add.method": "est"})
    assert values["arms.2.label"] == "Evolving Subnetwork Training 2"
    del values["arms.2.knobs.est.inverse_scale"]
    client.post(NEW, values | {"arms.2.label": "EST without 1/p"})
    scaled = Arm.objects.filter(body__methods=["est"]).values_list("label", "body__knobs__est__inverse_scale")
    assert set(scaled) == {("Evolving Subnetwork Training", True), ("EST without 1/p", False)}


def test_adding_and_removing_arms_loses_nothing_that_was_typed() -> None:
    client = member()
    values = with_est(client, **{"arms.1.knobs.est.heads": "0.25", "seeds": "4, 8", "batch_size": "no number"})
    after = edited(client, values, "remove.0")
    assert {name: value for name, value in values.items() if not name.startswith("arms.0.")} == after


def test_htmx_gets_the_new_arm_alone() -> None:
    client = member()
    values = asked(client, **{"add.method": "est", "do": "add"})
    page = client.post("/experiments/new/arms/", values, headers={"HX-Request": "true"}).content.decode()
    assert page.count("<fieldset") == 1
    assert 'name="arms.1.knobs.est.heads"' in page


def test_an_arm_of_a_method_that_is_not_there_is_not_added() -> None:
    client = member()
    values = asked(client, **{"add.method": "nothing", "do": "add"})
    assert client.post("/experiments/new/arms/", values).status_code == 404


def test_an_arm_may_differ_in_a_shared_setting() -> None:
    client = member()
    client.post(NEW, with_est(client, **{"arms.1.changes": '{"optim": {"learning_rate": 0.005}}'}))
    rates = Arm.objects.order_by("pk").values_list("label", "body__optim__learning_rate")
    assert ("Evolving Subnetwork Training", 0.005) in rates
    assert ("Dense", RunSpec().optim.learning_rate) in rates


@pytest.mark.parametrize(
    "text", ["{", "[1]", "[" * 5000, '{"optim": {"learning_rate": NaN}}', '{"methods": ["dense"]}']
)
def test_an_arms_own_settings_that_cannot_be_are_refused_there(text: str) -> None:
    assert list(refusals(member(), **{"arms.1.changes": text})) == ["arms.1.changes"]


def test_a_fault_in_an_arms_own_settings_names_its_path() -> None:
    found = refusals(member(), **{"arms.1.changes": '{"optim": {"learning_rate": 7}}'})
    assert found["arms.1.changes"].startswith("optim.learning_rate: ")


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
    assert list(refusals(member(), **{"arms.1.knobs.est.heads": "1.5"})) == ["arms.1.knobs.est.heads"]


def test_knobs_that_disagree_are_refused_at_their_arm() -> None:
    found = refusals(member(), **{"arms.1.knobs.est.stage1": "0.7", "arms.1.knobs.est.stage2": "0.7"})
    assert "more than all" in found["arms.1.methods"]


def test_two_arms_that_are_the_same_are_refused_at_the_second() -> None:
    client = member()
    answer = client.post(NEW, edited(client, asked(client), "add", **{"add.method": "dense"}))
    assert list(answer.context["form"].errors) == ["arms.1.methods"]


def test_an_arm_without_a_label_is_refused_there() -> None:
    assert list(refusals(member(), **{"arms.1.label": " "})) == ["arms.1.label"]


def test_a_form_without_arms_is_refused() -> None:
    client = member()
    answer = client.post(NEW, edited(client, asked(client), "remove.0"))
    assert answer.status_code == 422
    assert "choose at least one method" in answer.content.decode()


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


def plan_of(client: Client, values: dict[str, Any]) -> Any:
    return client.post("/experiments/new/plan/", values)


def test_the_plan_tells_runs_and_flops_and_launches_nothing() -> None:
    client = member()
    plan = plan_of(client, with_est(client)).context["plan"]["forecast"]
    dense = next(arm for arm in plan.arms if arm.is_baseline)
    assert (plan.runs, dense.steps, Run.objects.count()) == (9, 600, 0)


def test_the_plan_marks_the_arms_that_are_added() -> None:
    client = member()
    page = plan_of(client, with_est(client)).content.decode()
    assert "Dense, equal FLOPs (Evolving Subnetwork Training) <small>added</small>" in page
    assert page.count("<small>added</small>") == 1


def test_the_plan_of_a_form_with_a_fault_names_it_and_says_it_at_its_field() -> None:
    client = member()
    page = plan_of(client, asked(client, **{"batch_size": "0"})).content.decode()
    assert '<a href="#id_batch_size">Batch size</a>' in page
    assert '<span class="error" id="id_batch_size_error" hx-swap-oob="true">Input should be greater' in page


def test_the_plan_takes_a_message_away_from_a_field_that_was_mended() -> None:
    client = member()
    assert (
        '<span class="error" id="id_batch_size_error" hx-swap-oob="true"></span>'
        in plan_of(client, asked(client)).content.decode()
    )


def test_the_plan_warns_of_a_queue_that_nobody_serves_and_lets_it_be_launched() -> None:
    client = member()
    assert "No worker that is alive serves the queue cpu" in plan_of(client, asked(client)).content.decode()
    Worker.objects.create(name="cpu-0", queue="cpu", device="small")
    assert "No worker that is alive" not in plan_of(client, asked(client)).content.decode()
    client.post(NEW, asked(client, queue="gpu-far"))
    assert set(Run.objects.values_list("queue", flat=True)) == {"gpu-far"}


def test_the_plan_says_that_no_worker_has_measured_its_speed() -> None:
    client = member()
    assert "its speed yet" in client.get(NEW).content.decode()


def test_a_preset_fills_in_the_knobs_of_its_arm() -> None:
    client = member()
    values = with_est(client, **{"arms.1.preset": "est/est-gpt2", "arms.1.label": "EST as published"})
    after = edited(client, values, "preset.1")
    assert (after["arms.1.knobs.est.stage2"], after["arms.1.label"]) == ("0.3333333333333333", "EST as published")


def test_presets_say_what_to_know_before_trusting_them() -> None:
    page = member().get(f"{NEW}?method=est").content.decode()
    assert "their boundaries are not confirmed" in page


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
