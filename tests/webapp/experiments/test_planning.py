"""The forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from training.spec import Budget, RunSpec
from webapp.experiments.planning import memory_problem, plan, queues
from webapp.runs.models import Worker

pytestmark = pytest.mark.django_db
ARMS = [("Dense", RunSpec()), ("EST", RunSpec(methods=("est",)))]


PACE = [1e-4, 1e-11, 5e-9, 2e-9, 2e-9]


def worker(name: str = "cpu-0", queue: str = "cpu", **fields: Any) -> Worker:
    return Worker.objects.create(name=name, queue=queue, device="cpu", **fields)


def test_the_compute_of_a_launch_is_that_of_all_its_runs() -> None:
    each = RunSpec().train_flops() + RunSpec(methods=("est",)).train_flops()
    assert plan(arms=ARMS, seeds=[0, 1, 2], queue="cpu").flops == pytest.approx(3 * each)


def test_two_workers_end_two_equal_runs_in_half_the_time_of_one() -> None:
    worker(pace=PACE)
    alone = plan(arms=ARMS[:1], seeds=[0, 1], queue="cpu").seconds
    worker("cpu-1", pace=PACE)
    together = plan(arms=ARMS[:1], seeds=[0, 1], queue="cpu").seconds
    assert alone is not None
    assert together == pytest.approx(alone / 2)


def test_without_anything_ahead_a_launch_waits_for_nothing() -> None:
    worker(pace=PACE)
    assert plan(arms=ARMS, seeds=[0], queue="cpu").waits == 0


def test_without_a_measured_speed_the_time_is_not_known() -> None:
    worker()
    assert plan(arms=ARMS, seeds=[0], queue="cpu").seconds is None


def test_a_worker_that_has_gone_silent_does_not_count() -> None:
    silent = worker(pace=PACE)
    Worker.objects.filter(pk=silent.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert plan(arms=ARMS, seeds=[0], queue="cpu").seconds is None


def test_est_is_forecast_below_its_baseline() -> None:
    shares = [arm.against_baseline for arm in plan(arms=ARMS, seeds=[0], queue="cpu").arms]
    assert shares[0] is None
    assert shares[1] is not None
    assert 0.5 < shares[1] < 1


def test_a_budget_in_tokens_is_planned_in_steps() -> None:
    spec = RunSpec(budget=Budget(tokens=16 * 128 * 10))
    assert plan(arms=[("Dense", spec)], seeds=[0], queue="cpu").arms[0].steps == 10


def test_memory_is_held_against_the_largest_worker_of_the_queue() -> None:
    worker(memory_bytes=2**30)
    worker("gpu-0", "gpu", memory_bytes=80 * 2**30)
    assert memory_problem(2 * 2**30, "cpu").startswith("needs about 2.0")
    assert memory_problem(2 * 2**30, "gpu") == ""


def test_memory_is_not_judged_before_a_worker_has_reported() -> None:
    assert memory_problem(10**15, "cpu") == ""


def test_a_queue_with_a_gpu_is_offered_first() -> None:
    worker()
    worker("gpu-0", "gpu")
    assert queues() == ["gpu", "cpu"]
