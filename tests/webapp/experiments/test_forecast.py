"""What a run is forecast to cost, and what finished runs teach."""

from __future__ import annotations

from math import exp, log

import pytest
from django.contrib.auth.models import User
from django.db import Error, transaction
from django.utils import timezone
from pytest_django import Settings

from tests.webapp.experiments.test_planning import PACE, worker
from training import pace
from training.pace import Pace
from training.spec import Budget, RunSpec
from webapp.experiments import services
from webapp.experiments.forecast import ENOUGH, UNKNOWN, Bench, Experience
from webapp.experiments.models import Forecast
from webapp.runs.models import Run, State
from webapp.teams.models import Project

pytestmark = pytest.mark.django_db
SPEC = RunSpec(budget=Budget(steps=50))


def launched(seeds: int = 1) -> list[Run]:
    project, _ = Project.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
    owner, _ = User.objects.get_or_create(username="ada")
    arms = [services.ArmRequest("Dense", SPEC, is_baseline=True)]
    made = services.launch(project=project, owner=owner, title="Cost?", arms=arms, seeds=range(seeds), queue="cpu")
    return list(Run.objects.filter(arm__experiment=made).order_by("pk"))


def finish(run: Run, factor: float) -> None:
    """End a run that took so many times what the price list says."""
    took = factor * pace.training(SPEC, Pace(*PACE))
    fields = {"wall_seconds": took, "executed_flops": SPEC.train_flops(), "environment": {"device": "cpu"}}
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, finished_at=timezone.now(), **fields)


def test_every_run_of_a_launch_keeps_its_forecast() -> None:
    worker(pace=PACE)
    launched(seeds=3)
    kept = Forecast.objects.values_list("flops", "unlearnt")
    assert set(kept) == {(SPEC.train_flops(), pace.training(SPEC, Pace(*PACE)))}
    assert len(kept) == 3


def test_a_kept_forecast_cannot_be_changed() -> None:
    launched()
    with pytest.raises(Error, match="kept as it was made"), transaction.atomic():
        Forecast.objects.update(flops=1.0)


def test_without_a_measured_worker_flops_are_forecast_and_seconds_are_not() -> None:
    launched()
    kept = Forecast.objects.get()
    assert (kept.flops, kept.seconds, kept.low) == (SPEC.train_flops(), None, None)


def test_without_history_the_interval_is_the_stated_assumption() -> None:
    worker(pace=PACE)
    span = Bench.of("cpu").forecast(SPEC).training
    assert span is not None
    assert span.high / span.mid == pytest.approx(UNKNOWN)
    assert span.mid / span.low == pytest.approx(UNKNOWN)


def test_finished_runs_correct_the_forecast_and_narrow_its_interval() -> None:
    worker(pace=PACE)
    before = Bench.of("cpu").forecast(SPEC)
    for place, run in enumerate(launched(seeds=20)):
        finish(run, 1.4 + 0.01 * (place % 3))
    after = Bench.of("cpu").forecast(SPEC)
    assert before.training is not None
    assert after.training is not None
    assert after.history == 20
    assert 1.3 < after.training.mid / before.training.mid < 1.42
    assert after.training.high / after.training.low < before.training.high / before.training.low


def test_runs_on_another_device_teach_nothing() -> None:
    worker(pace=PACE)
    for run in launched(seeds=ENOUGH):
        finish(run, 3.0)
    Run.objects.update(environment={"device": "another"})
    assert Bench.of("cpu").forecast(SPEC).history == 0


def test_few_runs_are_believed_less_than_many() -> None:
    few, many = Experience((log(2.0),) * 2), Experience((log(2.0),) * 50)
    assert 1 < exp(few.bias) < exp(many.bias) < 2


def test_the_interval_of_the_next_run_is_wider_than_what_was_seen() -> None:
    seen = (-0.1, -0.05, 0.0, 0.05, 0.1)
    assert Experience(seen).spread > max(seen)


def test_energy_and_money_come_from_the_configured_rates(settings: Settings) -> None:
    worker(pace=PACE, startup_seconds=3.0)
    settings.POWER_WATTS, settings.PRICE_PER_KWH, settings.PRICE_PER_HOUR = {"cpu": 100.0}, 0.5, {"cpu": 2.0}
    found = Bench.of("cpu").forecast(SPEC)
    assert found.occupied is not None
    hours = found.occupied.mid / 3600
    assert found.kwh == pytest.approx(hours * 0.1)
    assert found.money == pytest.approx(hours * 0.1 * 0.5 + hours * 2.0)


def test_without_rates_no_energy_and_no_money_are_named() -> None:
    worker(pace=PACE)
    found = Bench.of("cpu").forecast(SPEC)
    assert (found.kwh, found.money) == (None, None)
