"""The pages of studies: found, planned, refused at the field, launched as REST launches them."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.webapp.experiments.filling import values_of
from tests.webapp.people import member
from training import catalog
from training.spec import RunSpec
from webapp.experiments import studies
from webapp.experiments.models import Experiment
from webapp.runs.models import Run, Worker
from webapp.teams.models import Project, Role

pytestmark = pytest.mark.django_db
NEW = "/studies/dcpt/new/"


def typed(client: Client, address: str = NEW, **changes: Any) -> dict[str, Any]:
    """The form as it is first shown, with these changes."""
    return {"project": "lab", "queue": "cpu", **values_of(client.get(address)), "title": "Which share?", **changes}


def refused(client: Client, **changes: Any) -> dict[str, str]:
    """The messages at each field of a launch that is refused."""
    answer = client.post(NEW, typed(client, **changes))
    assert answer.status_code == 422
    assert not Run.objects.exists()
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def planned(client: Client, **changes: Any) -> str:
    return client.post(f"{NEW}plan/", typed(client, **changes)).content.decode()


def specs(experiment: Experiment) -> list[dict[str, Any]]:
    return [arm.body for arm in experiment.arms.order_by("pk")]


def test_the_form_as_shown_launches_what_rest_launches() -> None:
    client = member()
    answer = client.post(NEW, typed(client))
    ours = Experiment.objects.get()
    assert answer.headers["Location"] == f"/experiments/{ours.code}/study/"
    knobs, base = studies.judged("dcpt", {}, {})
    theirs = studies.launch("dcpt", knobs, base, owner=ours.owner, project=ours.project, title="by REST")
    assert specs(ours) == specs(theirs)
    assert (ours.study, ours.study_knobs) == (theirs.study, theirs.study_knobs)
    assert set(Run.objects.filter(arm__experiment=ours).values_list("seed", "queue")) == {(0, "cpu")}


def test_what_is_typed_reaches_the_runs() -> None:
    client = member()
    changes: dict[str, Any] = {
        "knobs.sizes": ["gpt2-nano", "gpt2-micro"], "knobs.ratios": "0 0.1; 1", "knobs.steps": "40", "seeds": "4, 8",
        "knobs.base_steps": "20", "base.optim.learning_rate": "0.001", "base.batch_size": "4", "question": "Which?",
    }  # fmt: skip
    values = typed(client, **changes)
    del values["knobs.check"]
    client.post(NEW, values)
    experiment = Experiment.objects.get()
    bodies = specs(experiment)
    shares = [(body["model"]["preset"], body["knobs"]["continual"]["domain_share"]) for body in bodies]
    assert shares == [(size, ratio) for size in changes["knobs.sizes"] for ratio in (0, 0.1, 1)]
    assert {body["budget"]["steps"] for body in bodies} == {60}
    assert {(body["batch_size"], body["optim"]["learning_rate"]) for body in bodies} == {(4, 0.001)}
    assert set(Run.objects.values_list("seed", flat=True)) == {4, 8}
    assert (experiment.study_knobs["check"], experiment.question) == (False, "Which?")


def test_every_study_and_knob_is_offered_and_inferred_ones_are_marked() -> None:
    client = member()
    card, page = catalog.study("dcpt"), client.get(NEW).content.decode()
    for info in card.knobs.model_fields.values():
        assert info.title
        assert info.title in page
    assert page.count("(inferred") == 2
    assert 'name="base.model.preset"' not in page
    assert 'name="base.budget' not in page
    assert "gpt2-nano (2 layers" in page
    for address in ("/studies/", "/studies/dcpt/"):
        body = client.get(address).content.decode()
        assert card.title in body
        assert f'href="{NEW}"' in body
    assert "<strong>Several domains.</strong>" in client.get("/studies/dcpt/").content.decode()


def test_studies_are_found_from_where_a_person_looks() -> None:
    client = member()
    assert 'href="/studies/"' in client.get("/experiments/new/").content.decode().partition("<main")[2]
    assert 'href="/studies/dcpt/"' in client.get("/methods/continual/").content.decode()
    assert 'href="/studies/dcpt/"' not in client.get("/methods/est/").content.decode()
    assert 'href="/studies/"' in client.get("/").content.decode()
    for address in ("/studies/none/", "/studies/none/new/"):
        assert client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"title": " "}, "title", "required"),
        ({"seeds": "0"}, "seeds", "between 1"),
        ({"seeds": "20"}, "seeds", "more than 200 runs"),
        ({"project": "nowhere"}, "project", "valid choice"),
        ({"knobs.steps": "3"}, "knobs.steps", "greater than or equal to 20"),
        ({"knobs.steps": "many"}, "knobs.steps", "integer"),
        ({"knobs.limit": ""}, "knobs.limit", "number"),
        ({"knobs.ratios": "0, 0.5, x"}, "knobs.ratios", "value 3: Input should be a valid number"),
        ({"knobs.ratios": "0, 0.5, 2"}, "knobs.ratios", "between 0 and 1"),
        ({"knobs.sizes": ["gpt2-nano"]}, "knobs.sizes", "at least 2"),
        ({"knobs.sizes": ["gpt2-nano", "llama-nano"]}, "knobs.sizes", "two families"),
        ({"knobs.sizes": ["gpt2-nano", "nothing"]}, "knobs.sizes", "nothing is not one"),
        ({"knobs.domains": "hf:lab/law"}, "knobs.domains", "two at least"),
        ({"knobs.domains": "hf:lab/law, hf:lab/music"}, "knobs.domains", "set the vocabulary to 257"),
        ({"knobs.probed": "hf:lab/law"}, "knobs.probed", "needs further domains"),
        ({"base.data.context": "512"}, "knobs.sizes", "gpt2-nano holds 256 tokens"),
        ({"base.data.domain": "sotu"}, "base.data.domain", "the same text twice"),
        ({"base.data.domain": "text:absent.txt"}, "base.data.domain", "absent.txt"),
        ({"base.data.source": "dataset:abcd23456789"}, "base.data.source", "no data set"),
        ({"hub.domain": "no id"}, "hub.domain", "names no text"),
        ({"base.optim.learning_rate": "7"}, "base.optim.learning_rate", "less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_kept(changes: dict[str, Any], name: str, words: str) -> None:
    client = member()
    answer = client.post(NEW, typed(client, **changes))
    found = {key: " ".join(messages) for key, messages in answer.context["form"].errors.items()}
    assert (answer.status_code, list(found)) == (422, [name])
    assert words in found[name]
    assert not Experiment.objects.exists()
    shown = values_of(answer)
    assert {key: shown.get(key) for key in changes} == changes


def test_a_network_that_no_worker_holds_is_told_at_the_networks() -> None:
    Worker.objects.create(name="cpu-0", queue="cpu", device="small", memory_bytes=10**9)
    found = refused(member(), **{"knobs.sizes": ["gpt2-nano", "gpt2", "gpt2-medium"]})
    assert list(found) == ["knobs.sizes"]
    assert "gpt2, 0 python-stdlib: needs about" in found["knobs.sizes"]


def test_a_text_from_the_hub_overrides_the_choice() -> None:
    client = member()
    client.post(NEW, typed(client, **{"hub.domain": "roneneldan/TinyStories"}))
    assert {body["data"]["domain"] for body in specs(Experiment.objects.get())} == {"hf:roneneldan/TinyStories"}


def test_a_further_domain_that_is_not_there_is_told_at_its_field() -> None:
    texts = {"knobs.domains": "hf:lab/law, text:absent.txt", "base.data.vocab_size": "257"}
    found = refused(member(), **texts)
    assert list(found) == ["knobs.domains"]
    assert found["knobs.domains"].startswith("gpt2-nano, 0 text:absent.txt: ")


def test_further_domains_get_a_grid_each_and_are_kept_in_a_clone() -> None:
    client = member()
    texts = {"knobs.domains": "hf:lab/law, hf:lab/music", "knobs.probed": "hf:lab/chess"}
    client.post(NEW, typed(client, **texts, **{"base.data.vocab_size": "257"}))
    experiment = Experiment.objects.get()
    asked = [body["data"]["domain"] for body in specs(experiment)]
    assert [asked.count(text) for text in ("python-stdlib", "hf:lab/law", "hf:lab/chess")] == [15, 15, 1]
    shown = values_of(client.get(f"{NEW}?clone={experiment.code}"))
    assert {path: shown[path] for path in texts} == texts


def test_the_plan_shows_every_run_with_its_forecast_and_launches_nothing() -> None:
    client = member()
    Worker.objects.create(
        name="cpu-0", queue="cpu", device="x", pace=[1e-4, 1e-11, 5e-9, 2e-9, 2e-9], startup_seconds=2.5
    )
    answer = client.post(f"{NEW}plan/", typed(client, **{"knobs.ratios": "0, 0.5, 1", "seeds": "2"}))
    grid, forecast = answer.context["grid"], answer.context["plan"]["forecast"]
    assert grid.headings[:6] == ("network", "parameters N", "tokens D", "points", "domain", "domain share")
    assert [row[0:1] + row[5:6] for row in grid.rows[:3]] == [("gpt2-nano", 0.0), ("gpt2-nano", 0.5), ("gpt2-nano", 1)]
    assert {row[2:4] for row in grid.rows} == {(600 * 8 * 64, 10)}
    assert (len(grid.rows), forecast.runs) == (9, 18)
    assert all(row[7] for row in grid.rows)
    page = answer.content.decode()
    assert "18 (9 × 2 seeds)" in page
    assert 'id="grid" hx-swap-oob="true"' in page
    assert not Experiment.objects.exists()


def test_a_plan_that_cannot_be_says_why_at_the_field_and_shows_no_runs() -> None:
    page = planned(member(), **{"knobs.sizes": ["gpt2-nano"]})
    assert '<a href="#id_knobs.sizes">Networks</a>' in page
    assert '<span class="error" id="id_knobs.sizes_error" hx-swap-oob="true">Tuple should have at least 2' in page
    assert "There is no plan until" in page


def test_the_first_page_has_its_plan_already() -> None:
    page = member().get(NEW).content.decode()
    assert "15 (15 × 1 seed)" in page
    assert page.count("<td>gpt2-micro</td>") == 5
    assert "to settle" not in page


def test_a_study_is_cloned_into_its_own_form() -> None:
    client = member()
    client.post(NEW, typed(client, **{"knobs.ratios": "0, 0.3, 1", "base.batch_size": "4", "seeds": "4, 8"}))
    code = Experiment.objects.get().code
    answer = client.get(f"/experiments/new/?clone={code}")
    assert answer.headers["Location"] == f"{NEW}?clone={code}"
    shown = values_of(client.get(answer.headers["Location"]))
    told = {name: shown[name] for name in ("title", "knobs.ratios", "base.batch_size", "seeds", "base.data.domain")}
    assert told == {
        "title": "Which share?", "knobs.ratios": "0, 0.3, 1", "base.batch_size": 4, "seeds": "4, 8,",
        "base.data.domain": "python-stdlib",
    }  # fmt: skip
    client.post(NEW, typed(client, f"{NEW}?clone={code}"))
    first, second = Experiment.objects.order_by("pk")
    assert specs(first) == specs(second)


def test_a_study_of_others_is_neither_listed_nor_cloned() -> None:
    owner = member()
    owner.post(NEW, typed(owner))
    code = Experiment.objects.get().code
    stranger = member(username="eve", slug="other")
    assert stranger.get(f"{NEW}?clone={code}").status_code == 404
    assert code in owner.get("/studies/dcpt/").content.decode()
    assert code not in stranger.get("/studies/dcpt/").content.decode()


@pytest.mark.parametrize("role", [Role.VIEWER, Role.REVIEWER])
def test_who_may_launch_nothing_plans_no_study(role: Role) -> None:
    client = member(role)
    assert client.get(NEW).status_code == 403
    other = Project.objects.create(slug="other", name="Other")
    assert client.post(NEW, {"project": other.slug, "title": "x", "seeds": "1", "queue": "cpu"}).status_code == 403
    assert NEW not in client.get("/studies/dcpt/").content.decode()
    assert not Experiment.objects.exists()


def test_a_member_does_not_launch_in_a_project_of_others() -> None:
    Project.objects.create(slug="other", name="Other")
    assert list(refused(member(), project="other")) == ["project"]


def test_nobody_sees_studies_before_signing_in() -> None:
    for address in ("/studies/", "/studies/dcpt/", NEW, f"{NEW}plan/"):
        assert Client().get(address).status_code == 302


@pytest.mark.parametrize("name", catalog.studies())
def test_a_study_says_which_methods_train_its_runs(name: str) -> None:
    card = catalog.study(name)
    arms = studies.asked(name, card.knobs(), RunSpec.model_validate(dict(card.base)))
    assert {method for arm in arms for method in arm.spec.methods} == set(card.trains)
