"""A study goes on by itself: it asks, waits for the last run, asks again, concludes, and again when runs are added."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from training import catalog
from training.records import Purpose
from training.studies.dcpt import study
from training.studies.dcpt.finding import DcptFinding
from training.studies.dcpt.law import Law
from webapp.experiments import services, studies
from webapp.experiments.models import Experiment, Finding
from webapp.experiments.services import LaunchRefused
from webapp.runs import lifecycle
from webapp.runs import studies as sweep
from webapp.runs.models import CostLine, Point, Run, Series, Worker
from webapp.teams.models import Membership, Project, Role

GENERAL = Law(E=1.2, A=0.02, B=0.012, C=0.6, alpha=0.35, beta=0.3, gamma=0.4, eta=0.6, epsilon=0.1)
DOMAIN = GENERAL.model_copy(update={"E": 0.8, "C": 0.4})
OTHERS = {"hf:lab/law": 0.3, "hf:lab/music": 0.6, "hf:lab/chess": 0.9}
"""Further domains, and how much higher their losses are."""
KNOBS = {"sizes": ["gpt2-nano", "gpt2-micro", "gpt2-tiny"], "ratios": [0, 0.25, 0.5, 0.75, 1.0], "evaluations": 4}


def launched(base: dict[str, Any] | None = None, **knobs: Any) -> Experiment:
    user = User.objects.create_user("ada")
    project = Project.objects.create(slug="lab", name="Lab")
    Membership.objects.create(project=project, user=user, role=Role.MEMBER)
    found, spec = studies.judged("dcpt", KNOBS | knobs, base or {})
    return studies.launch("dcpt", found, spec, project=project, owner=user, title="Which share of code?", seeds=(3,))


def finish(run: Run, state: str = "succeeded") -> None:
    """As a worker would leave it, with the losses of two known laws."""
    spec, now = run.arm.spec, timezone.now()
    size, share, rng = study.size_of(spec.model.preset), study.share_of(spec), np.random.default_rng(run.pk)
    domain = DOMAIN.model_copy(update={"E": DOMAIN.E + OTHERS.get(str(spec.data.domain), 0.0)})
    for law, name, r, untrained in ((GENERAL, "general", 1 - share, 0.0), (domain, "domain", share, 1.0)):
        base = Series.objects.create(run=run, phase="pretrain", name=f"val/{name}")
        mixture = Series.objects.create(run=run, phase="continue", name=f"val/{name}")
        write(base, 600, float(law.loss(size, 3e-4, 0.6)) + untrained)
        for step in range(150, 601, 150):
            loss = float(law.loss(size, step * spec.tokens_per_step / 1e9, r))
            write(mixture, step, loss * float(np.exp(0.002 * rng.standard_normal())))
    for phase, purpose, flops in (("pretrain", Purpose.SOURCE, 1e12), ("continue", Purpose.TRAIN, 2e12)):
        CostLine.objects.create(run=run, phase=phase, purpose=purpose, executed=flops, effective=flops)
    failure = "" if state == "succeeded" else "diverged"
    Run.objects.filter(pk=run.pk).update(state=state, failure=failure, finished_at=now, wall_seconds=2.0)


def write(series: Series, step: int, loss: float) -> None:
    Point.objects.create(series=series, step=step, value=loss, flops=0, tokens=0, seconds=0, fence=1, event=step)


def runs(experiment: Experiment) -> list[Run]:
    return list(Run.objects.filter(arm__experiment=experiment, state="queued").select_related("arm").order_by("pk"))


def finding(experiment: Experiment) -> DcptFinding:
    return DcptFinding.model_validate(Finding.objects.get(experiment=experiment).body)


@pytest.mark.django_db
def test_a_study_is_launched_as_its_grid() -> None:
    experiment = launched()
    assert (experiment.study, experiment.study_knobs["evaluations"]) == ("dcpt", 4)
    assert [run.seed for run in runs(experiment)] == [3] * 15
    assert experiment.arms.filter(is_baseline=True).count() == 1
    assert all(hasattr(run, "forecast") for run in runs(experiment))


@pytest.mark.django_db
def test_nothing_happens_before_the_last_run_has_ended() -> None:
    experiment = launched()
    for run in runs(experiment)[:-1]:
        finish(run)
    assert sweep.advance() == 0
    assert not Finding.objects.exists()


@pytest.mark.django_db
def test_a_grid_is_checked_then_concluded_and_then_left_alone() -> None:
    experiment = launched()
    for run in runs(experiment):
        finish(run)
    assert sweep.advance() == 1
    [check] = runs(experiment)
    assert (check.seed, check.queue, check.arm.is_baseline) == (3, "cpu", False)
    assert check.events.get().actor == "study"
    assert not Finding.objects.exists()

    finish(check)
    assert sweep.advance() == 1
    found = finding(experiment)
    assert found.runs == 16
    assert found.general
    assert (found.general.r2 or 0) > 0.99
    assert [one.run for one in found.checks] == [check.code]
    assert (found.costs.mixtures, found.costs.bases, found.costs.seconds) == (3.2e13, 1.6e13, 32.0)
    assert sweep.advance() == 0


@pytest.mark.django_db
def test_a_failed_run_is_told_and_its_retry_is_taken_in() -> None:
    experiment = launched(check=False)
    waiting = runs(experiment)
    for run in waiting[1:]:
        finish(run)
    finish(waiting[0], "failed")
    assert sweep.advance() == 1
    assert finding(experiment).failures == ((waiting[0].code, "failed: diverged"),)
    before = len(finding(experiment).observations)

    Run.objects.filter(pk=waiting[0].pk).update(state="succeeded", failure="", finished_at=timezone.now())
    assert sweep.advance() == 1
    assert finding(experiment).failures == ()
    assert len(finding(experiment).observations) == before + 4


@pytest.mark.django_db
def test_a_study_that_is_cancelled_concludes_from_what_has_ended_and_asks_no_more() -> None:
    experiment = launched()
    waiting = runs(experiment)
    for run in waiting[:-1]:
        finish(run)
    assert sweep.cancel(experiment, experiment.owner) == 1
    assert sweep.cancel(experiment, experiment.owner) == 0
    assert sweep.advance() == 1
    assert runs(experiment) == []
    assert finding(experiment).failures == ((waiting[-1].code, "cancelled"),)
    assert finding(experiment).general


@pytest.mark.django_db
def test_a_study_whose_cancelled_run_was_retried_goes_on() -> None:
    experiment = launched()
    waiting = runs(experiment)
    for run in waiting[:-1]:
        finish(run)
    sweep.cancel(experiment, experiment.owner)
    sweep.advance()
    assert lifecycle.reopen(Run.objects.get(pk=waiting[-1].pk), "ada")
    finish(waiting[-1])
    assert sweep.advance() == 1
    assert [run.arm.label.split(",")[0] for run in runs(experiment)] == ["gpt2-tiny"]


@pytest.mark.django_db
def test_a_check_that_no_worker_can_hold_any_more_is_left_out() -> None:
    experiment = launched()
    for run in runs(experiment):
        finish(run)
    Worker.objects.create(name="cpu-0", queue="cpu", device="tiny", memory_bytes=10**6)
    assert sweep.advance() == 1
    assert runs(experiment) == []
    assert finding(experiment).checks == ()
    assert finding(experiment).general


@pytest.mark.django_db
def test_a_study_that_cannot_go_on_hinders_no_other(caplog: pytest.LogCaptureFixture) -> None:
    broken = launched(check=False)
    sound = studies.launch(
        "dcpt", *studies.judged("dcpt", KNOBS | {"check": False}, {}), project=broken.project, owner=broken.owner,
        title="Again",
    )  # fmt: skip
    for run in (*runs(broken), *runs(sound)):
        finish(run)
    Experiment.objects.filter(pk=broken.pk).update(study_knobs={"surprise": 1})
    assert sweep.advance() == 1
    assert [row.experiment for row in Finding.objects.all()] == [sound]
    assert broken.code in caplog.text


@pytest.mark.django_db
def test_a_loss_that_was_not_finite_is_no_point() -> None:
    experiment = launched(check=False)
    for run in runs(experiment):
        finish(run)
    place = Point.objects.filter(series__name="val/general", series__phase="continue", step=300).first()
    assert place is not None
    Point.objects.filter(pk=place.pk).update(value=None, finite=False)
    sweep.advance()
    assert len(finding(experiment).observations) == 59


@pytest.mark.django_db
def test_an_ordinary_experiment_is_no_study(new_run: Any) -> None:
    Run.objects.filter(pk=new_run().pk).update(state="succeeded", finished_at=timezone.now())
    assert sweep.due() == []


@pytest.mark.django_db(transaction=True)
def test_two_sweepers_do_not_conclude_one_study_together() -> None:
    experiment = launched(check=False)
    for run in runs(experiment):
        finish(run)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [sweep.LOCK, experiment.pk])
        assert sweep.advance() == 0
    finally:
        other.close()
    assert sweep.advance() == 1


@pytest.mark.django_db
def test_what_is_wrong_is_named_by_its_path() -> None:
    with pytest.raises(LaunchRefused) as refused:
        studies.judged("dcpt", {"ratios": [0, 2, 3]}, {"data": {"domain": "sotu"}})
    assert set(refused.value.problems) == {"knobs.ratios", "base.data.domain"}


@pytest.mark.django_db
def test_a_domain_that_is_not_there_is_refused_at_launch() -> None:
    user, project = User.objects.create_user("eve"), Project.objects.create(slug="p", name="P")
    knobs, base = studies.judged("dcpt", {}, {"data": {"domain": "text:absent.txt"}})
    with pytest.raises(LaunchRefused) as refused:
        studies.launch("dcpt", knobs, base, project=project, owner=user, title="x")
    assert set(refused.value.problems) == {"base.data.domain"}
    assert not Experiment.objects.exists()


def test_what_the_study_sets_itself_is_refused_in_its_base_and_may_be_repeated() -> None:
    with pytest.raises(LaunchRefused) as refused:
        studies.judged("dcpt", {}, {"model": {"preset": "gpt2-mini"}, "budget": {"steps": 7}, "batch_size": 4})
    assert set(refused.value.problems) == {"base.model", "base.budget"}
    studies.judged("dcpt", {}, dict(catalog.study("dcpt").base))


def test_what_does_not_suit_the_networks_is_told_at_their_knob() -> None:
    knobs, base = studies.judged("dcpt", {}, {"data": {"context": 300}})
    with pytest.raises(LaunchRefused) as refused:
        studies.asked("dcpt", knobs, base)
    assert set(refused.value.problems) == {"knobs.sizes"}
    larger, base = studies.judged("dcpt", {"sizes": ["gpt2-mini", "gpt2"]}, {"data": {"context": 300}})
    assert len(studies.asked("dcpt", larger, base)) == 10


def test_a_study_may_ask_for_more_arms_than_a_person() -> None:
    knobs = catalog.study("dcpt").knobs.model_validate({"ratios": [0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1]})
    _, base = studies.judged("dcpt", {}, {})
    assert services.ARMS < len(studies.asked("dcpt", knobs, base)) <= services.STUDY_ARMS
