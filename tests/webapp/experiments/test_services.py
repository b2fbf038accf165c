"""Launching."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from training.spec import Budget, RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.services import ArmRequest, LaunchRefused, launch
from webapp.runs.models import Run, RunEvent
from webapp.teams.models import AuditEvent, Project

pytestmark = pytest.mark.django_db
DENSE = ArmRequest("Dense", RunSpec(), is_baseline=True)
EST = ArmRequest("EST", RunSpec(methods=("est",)))


def launched(**changes: Any) -> Experiment:
    project, _ = Project.objects.get_or_create(slug="lab", defaults={"name": "Lab"})
    owner, _ = User.objects.get_or_create(username="ada")
    asked = {"title": "EST", "arms": [DENSE, EST], "seeds": [0, 1], "queue": "cpu"} | changes
    return launch(project=project, owner=owner, **asked)


def refused(**changes: Any) -> dict[str, str]:
    with pytest.raises(LaunchRefused) as refusal:
        launched(**changes)
    assert not Experiment.objects.exists()
    return refusal.value.problems


def test_runs_are_queued_seed_by_seed() -> None:
    launched()
    order = Run.objects.order_by("pk").values_list("seed", "arm__label", "state")
    assert list(order) == [(0, "Dense", "queued"), (0, "EST", "queued"), (1, "Dense", "queued"), (1, "EST", "queued")]


def test_a_launch_is_in_the_audit_trail_and_in_the_story_of_each_run() -> None:
    experiment = launched()
    assert AuditEvent.objects.get().object == f"experiment {experiment.code}"
    assert set(RunEvent.objects.values_list("now", "actor", "note")) == {("queued", "ada", "launched")}


def test_an_arm_keeps_the_spec_and_its_digest() -> None:
    launched()
    arm = Arm.objects.get(label="EST")
    assert (arm.spec, arm.digest) == (EST.spec, EST.spec.digest())


def test_the_same_arm_twice_is_refused_at_the_second() -> None:
    assert list(refused(arms=[DENSE, ArmRequest("Again", RunSpec())])) == ["arms.1"]


def test_two_baselines_are_refused() -> None:
    assert "exactly one" in refused(arms=[DENSE, ArmRequest("EST", EST.spec, is_baseline=True)])["arms"]


@pytest.mark.parametrize("seeds", [[], [1, 1], list(range(51)), [-1], [2**31]])
def test_seeds_that_cannot_be_are_refused(seeds: list[int]) -> None:
    assert list(refused(seeds=seeds)) == ["seeds"]


def test_more_than_two_hundred_runs_are_refused() -> None:
    arms = [DENSE, *(ArmRequest(f"{n} steps", RunSpec(budget=Budget(steps=n))) for n in range(1, 5))]
    assert "200 runs" in refused(arms=arms, seeds=list(range(50)))["seeds"]


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "a\x00b"])
def test_a_title_that_cannot_be_is_refused(title: str) -> None:
    assert list(refused(title=title)) == ["title"]
