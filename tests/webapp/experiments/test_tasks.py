"""The form for other tasks than the first, and for arms of several methods."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.webapp.experiments.filling import NEW, asked, edited, values_of
from tests.webapp.people import member
from training import catalog
from training.spec import RunSpec
from webapp.experiments import services
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.services import ArmRequest
from webapp.teams.models import Project

pytestmark = pytest.mark.django_db


def shown(client: Client, **query: str) -> Any:
    return client.get(NEW, query).context["form"]


@pytest.mark.parametrize("task", catalog.tasks())
def test_the_form_of_a_task_asks_for_what_the_task_uses(task: str) -> None:
    form = shown(member(), task=task)
    assert {name.removeprefix("data.") for name in form.fields if name.startswith("data.")} == {
        *catalog.task(task).fields, "hub",
    }  # fmt: skip
    assert {value for value, _ in form.fields["model.preset"].widget.choices} == {*catalog.task(task).presets}
    assert [value for value, _ in form.fields["evals"].choices] == [*catalog.task(task).evals]


@pytest.mark.parametrize("task", catalog.tasks())
def test_the_form_as_shown_launches_what_the_task_starts_from(task: str) -> None:
    client = member()
    answer = client.post(NEW, asked(client, f"{NEW}?task={task}"))
    assert answer.status_code == 302, answer.context["form"].errors
    assert [arm.spec for arm in Arm.objects.all()] == [RunSpec.model_validate({"task": task})]


def test_another_task_keeps_what_was_typed_and_leaves_out_what_does_not_suit_it() -> None:
    client = member()
    typed = edited(client, asked(client), "add", **{"add.method": "est"})
    form = client.post("/experiments/new/arms/", typed | {"title": "Mine", "task": "span_corruption", "do": "task"})
    values = values_of(form)
    assert values["title"] == "Mine"
    assert values["task"] == "span_corruption"
    assert values["model.preset"] == RunSpec.model_validate({"task": "span_corruption"}).model.preset
    assert [values[name] for name in values if name.endswith(".methods")] == [["dense"]]


def test_a_clone_has_the_task_of_its_experiment() -> None:
    client = member()
    client.post(NEW, asked(client, f"{NEW}?task=span_corruption"))
    form = shown(client, clone=Experiment.objects.get().code)
    assert form.task.name == "span_corruption"


def test_a_method_is_only_offered_for_its_tasks() -> None:
    offered = member().get(NEW, {"task": "span_corruption"}).context["cards"]
    assert all("span_corruption" in card.tasks for card in offered)


def test_arms_of_different_tasks_do_not_compare() -> None:
    member()
    specs = [RunSpec.model_validate({"task": task}) for task in ("language_modelling", "span_corruption")]
    arms = [ArmRequest(spec.task, spec, is_baseline=not place) for place, spec in enumerate(specs)]
    found = services.refusals(project=Project.objects.get(), title="Both", arms=arms, seeds=[0], queue="cpu")
    assert found == {"arms.1.task": "the first arm's task is Next-token prediction; arms of one experiment share it"}
