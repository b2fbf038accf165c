"""The plan beside the form of a new experiment."""

from __future__ import annotations

import pytest

from tests.webapp.experiments.filling import NEW, asked, plan_of, with_est
from tests.webapp.people import member
from webapp.runs.models import Run, Worker

pytestmark = pytest.mark.django_db


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
