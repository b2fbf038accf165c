"""The form of a new experiment: what it launches, what it refuses and where."""

from __future__ import annotations

import re

import pytest

from tests.webapp.experiments.filling import NEW, asked, edited, refusals, values_of, with_est
from tests.webapp.people import member
from training import catalog
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run, Worker

pytestmark = pytest.mark.django_db


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


def test_a_preset_fills_in_the_knobs_of_its_arm() -> None:
    client = member()
    values = with_est(client, **{"arms.1.preset": "est/est-gpt2", "arms.1.label": "EST as published"})
    after = edited(client, values, "preset.1")
    assert (after["arms.1.knobs.est.stage2"], after["arms.1.label"]) == ("0.3333333333333333", "EST as published")


def test_presets_say_what_to_know_before_trusting_them() -> None:
    page = member().get(f"{NEW}?method=est").content.decode()
    assert "their boundaries are not confirmed" in page


def test_a_text_of_another_project_is_no_data_for_this_one() -> None:
    found = refusals(member(), **{"data.source": "dataset:abcd23456789"})
    assert "no data set" in found["data.source"]


def test_a_hugging_face_id_overrides_the_choice() -> None:
    client = member()
    client.post(NEW, asked(client, **{"data.hub": "roneneldan/TinyStories"}))
    assert Arm.objects.get().body["data"]["source"] == "hf:roneneldan/TinyStories"


@pytest.mark.parametrize(
    ("task", "unit", "other"),
    [("language_modelling", "Tokens", "image"), ("image_classification", "Images", "token")],
)
def test_the_form_and_its_plan_count_in_the_unit_of_the_task(task: str, unit: str, other: str) -> None:
    page = member().get(f"{NEW}?task={task}").content.decode()
    assert f'<option value="tokens">{unit}</option>' in page
    titles = {catalog.task(name).title.lower() for name in catalog.tasks()}
    words = re.sub(r"<[^>]*>", " ", page.partition("<main")[2]).lower()
    for title in titles:
        words = words.replace(title, "")
    assert other not in words
