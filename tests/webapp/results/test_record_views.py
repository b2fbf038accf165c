"""The records page shows what the person may see, and launches an arm again to time it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.people import member
from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.runs.models import Run
from webapp.teams.models import Role

pytestmark = pytest.mark.django_db


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def settled() -> tuple[Client, Experiment]:
    """A member, and a finished, matched experiment of theirs in which EST is cheaper."""
    user = User.objects.create_user("ada")
    experiment = planted.experiment("Half the price?", user=user)
    for index, (label, lag) in enumerate((("Dense", 1.0), ("EST", 0.6))):
        spec = RunSpec(methods=("est",)) if index else RunSpec()
        planted.store(
            experiment, planted.arm(label, [planted.run(s, lag=lag) for s in range(5)], index=index, spec=spec)
        )
    Run.objects.update(environment={"device": "2 x Xeon", "threads": 1})
    return signed_in(user), experiment


def test_a_record_shows_its_arm_its_machine_and_its_rules() -> None:
    client, experiment = settled()
    page = client.get("/records/").content.decode()
    assert "Half the price?" in page
    assert "On 2 x Xeon, 1 thread, queue cpu" in page
    assert "Version 2. An arm takes part" in page
    assert f"/experiments/{experiment.code}/" in page
    assert "paired t" in page


def test_records_of_other_projects_are_not_shown() -> None:
    settled()
    assert "No records yet" in member(username="bob").get("/records/").content.decode()


def test_runs_that_say_nothing_of_their_machine_hold_no_record() -> None:
    client, _ = settled()
    Run.objects.update(environment={})
    assert "No records yet" in client.get("/records/").content.decode()


def test_timing_an_arm_again_launches_it_with_its_seeds_beside_its_baseline() -> None:
    client, first = settled()
    arm = Arm.objects.get(label="EST")
    client.post(f"/records/retime/{arm.code}/")
    again = Experiment.objects.exclude(pk=first.pk).get()
    assert again.retimes == arm
    assert {(each.label, each.is_baseline, each.digest) for each in again.arms.all()} == {
        (each.label, each.is_baseline, each.digest) for each in first.arms.all()
    }
    assert sorted(Run.objects.filter(arm__experiment=again, arm__label="EST").values_list("seed", flat=True)) == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_the_record_links_its_retiming() -> None:
    client, first = settled()
    client.post(f"/records/retime/{Arm.objects.get(label='EST').code}/")
    again = Experiment.objects.exclude(pk=first.pk).get()
    assert f"/experiments/{again.code}/" in client.get("/records/").content.decode()


def test_a_viewer_may_not_time_again() -> None:
    _, experiment = settled()
    viewer = member(Role.VIEWER, username="eve", slug=experiment.project.slug)
    arm = Arm.objects.get(label="EST")
    assert viewer.post(f"/records/retime/{arm.code}/").status_code == 403
    assert Experiment.objects.count() == 1


def test_an_arm_of_another_project_does_not_exist() -> None:
    settled()
    arm = Arm.objects.get(label="EST")
    assert member(username="bob").post(f"/records/retime/{arm.code}/").status_code == 404
