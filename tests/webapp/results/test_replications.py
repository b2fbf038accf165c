"""Replication is counted from finished, matched experiments that the person may see, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.contrib.auth.models import User

from tests.webapp.results import planted
from training import catalog
from training.knobs import Knobs
from training.spec import RunSpec
from webapp.results.replications import Record, Replication, record
from webapp.results.settled import settled
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db
CARD = catalog.card("est")
OFFERED = (CARD.presets or {})["est-gpt2"]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


def measure(user: User, *, lag: float = 0.6, knobs: Knobs = OFFERED, seeds: Iterable[int] = range(5)) -> str:
    """A finished experiment in which EST needs this share of the dense cost; its code."""
    experiment = planted.experiment(user=user)
    dense, est = ([planted.run(seed, lag=part) for seed in seeds] for part in (1.0, lag))
    for index, (name, runs) in enumerate((("dense", dense), ("est", est))):
        named = {"methods": (name,), "knobs": {name: knobs}} if name == "est" else {}
        planted.store(experiment, planted.arm(name, runs, index=index, spec=RunSpec.model_validate(named)))
    return experiment.code


def found(user: User) -> Record:
    return record(CARD, settled(user))


def without_evidence(user: User) -> Record:
    return Record(CARD, None, found(user).measurements)


def test_a_matched_finished_experiment_is_a_measurement(ada: User) -> None:
    code = measure(ada)
    assert [each.experiment for each in found(ada).measurements] == [code]
    assert without_evidence(ada).state is Replication.ONCE


def test_nothing_finished_is_not_yet_measured(ada: User) -> None:
    assert without_evidence(ada).state is Replication.NOT_MEASURED


def test_a_method_of_a_study_is_judged_by_it_until_somebody_measures_it_alone(ada: User) -> None:
    judged = record(catalog.card("continual"), settled(ada))
    assert judged.state is Replication.BY_STUDY
    assert judged.verdict == ""


def test_two_experiments_of_one_verdict_replicate_each_other(ada: User) -> None:
    measure(ada)
    measure(ada, seeds=range(5, 10))
    assert without_evidence(ada).state is Replication.REPLICATED


def test_the_same_seeds_again_are_the_same_measurement(ada: User) -> None:
    first = measure(ada)
    measure(ada, seeds=range(4, 9))
    assert [each.experiment for each in found(ada).measurements] == [first]
    assert without_evidence(ada).state is Replication.ONCE


def test_an_experiment_with_another_verdict_disputes_the_first(ada: User) -> None:
    measure(ada, lag=0.5)
    measure(ada, lag=1.6, seeds=range(5, 10))
    assert without_evidence(ada).state is Replication.DISPUTED
    assert len(set(without_evidence(ada).verdicts)) == 2


def test_knobs_that_the_card_does_not_offer_say_nothing_of_the_method(ada: User) -> None:
    measure(ada, knobs=OFFERED.model_copy(update={"inverse_scale": False}))
    assert found(ada).measurements == ()


def test_an_unmatched_experiment_is_no_measurement(ada: User) -> None:
    measure(ada, seeds=range(2))
    assert found(ada).measurements == ()


def test_an_experiment_that_still_runs_is_no_measurement(ada: User) -> None:
    measure(ada)
    Run.objects.filter(pk=Run.objects.earliest("pk").pk).update(state="queued", finished_at=None)
    assert found(ada).measurements == ()


def test_experiments_of_other_projects_are_not_counted(ada: User) -> None:
    measure(User.objects.create_user("bob"))
    assert found(ada).measurements == ()
