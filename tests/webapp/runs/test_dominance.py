"""What is clearly dominated is paused, a leader never is, and the frontier stays what it would have been."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.experiments.models import Experiment
from webapp.runs import dominance, lifecycle
from webapp.runs.dominance import THRESHOLD, Course, Curve, chance, end
from webapp.runs.models import Run, RunEvent
from webapp.teams.models import Membership

MARKS = np.linspace(0.05, 1.0, 20)


def course(
    code: str,
    floor: float,
    cost: float = 1.0,
    *,
    until: float = 1.0,
    seeds: int = 3,
    noise: float = 0.01,
    since: float = 0.0,
) -> Course:
    """An arm whose loss falls as a power law to its floor, faster at the end as the learning rate decays."""
    rng = np.random.default_rng(int(floor * 1e6) + len(code))
    kept = MARKS[: round(until * MARKS.size)]
    curves = {}
    for seed in range(seeds):
        own = floor + rng.normal(0, noise)
        losses = own + 0.8 * kept**-0.5 - 0.8 - 0.15 * (kept - 1) * kept**2 + rng.normal(0, noise / 3, kept.size)
        curves[seed] = Curve(kept, losses)
    return Course(code, cost, since, curves)


def truncated(arm: Course, until: float) -> Course:
    kept = {seed: Curve(curve.progress[curve.progress <= until + 1e-9], curve.losses[curve.progress <= until + 1e-9])
            for seed, curve in arm.seeds.items()}  # fmt: skip
    return Course(arm.code, arm.cost, arm.since, kept)


def front(arms: Sequence[Course]) -> set[str]:
    """Arms that no arm of at most their cost beats, by their final mean."""
    ended = {arm.code: float(np.mean([curve.losses[-1] for curve in arm.seeds.values()])) for arm in arms}
    return {a.code for a in arms if all(ended[a.code] <= ended[b.code] for b in arms if b.cost <= a.cost * 1.02)}


def test_a_clearly_dominated_arm_has_no_chance_left() -> None:
    assert chance(course("slow", 4.5, until=0.5), [course("good", 4.0, until=0.5)]) < THRESHOLD


def test_a_leader_keeps_its_chance() -> None:
    assert chance(course("good", 4.0, until=0.5), [course("slow", 4.5, until=0.5)]) > 0.95


def test_the_cheapest_arm_is_on_the_frontier_whatever_it_ends_at() -> None:
    assert chance(course("cheap", 5.0, cost=0.5), [course("good", 4.0, cost=1.0)]) == 1.0


def test_equals_both_keep_a_chance() -> None:
    one, two = course("one", 4.0, until=0.6), course("other", 4.0003, until=0.6)
    assert min(chance(one, [two]), chance(two, [one])) > THRESHOLD


@pytest.mark.parametrize("until", [0.1, 0.25])
def test_nothing_is_judged_early(until: float) -> None:
    assert chance(course("slow", 6.0, until=until), [course("good", 4.0)]) == 1.0


def test_nothing_is_judged_on_one_seed() -> None:
    assert chance(course("slow", 6.0, until=0.6, seeds=1), [course("good", 4.0, seeds=1)]) == 1.0


def test_a_method_with_stages_is_judged_in_its_last() -> None:
    staged, good = course("staged", 6.0, until=0.6, since=0.5), course("good", 4.0)
    assert chance(staged, [good]) == 1.0
    assert chance(course("staged", 6.0, until=0.9, since=0.5), [good]) < THRESHOLD


def test_a_planted_power_law_is_continued_to_its_end() -> None:
    x = MARKS[:12]
    found = end(Curve(x, 3 + 0.5 * x**-0.6), 0.0, 0.6)
    assert found is not None
    assert found.loss == pytest.approx(3.5, abs=0.01)


def test_replays_save_a_quarter_and_leave_the_front_as_it_was() -> None:
    """200 planted experiments of six arms, all advancing together and judged at every evaluation."""
    rng = np.random.default_rng(7)
    spent = planned = unchanged = 0.0
    for replay in range(200):
        floors, costs = 4 + rng.exponential(0.3, 6), rng.uniform(0.6, 1.0, 6)
        arms = [course(f"{replay}-{i}", floor, cost) for i, (floor, cost) in enumerate(zip(floors, costs, strict=True))]
        stopped: dict[str, float] = {}
        for mark in MARKS[5:-1]:
            now = [truncated(arm, min(mark, stopped.get(arm.code, 1.0))) for arm in arms]
            for arm in now:
                if arm.code not in stopped and chance(arm, now) < THRESHOLD:
                    stopped[arm.code] = float(mark)
        planned += sum(arm.cost for arm in arms)
        spent += sum(arm.cost * stopped.get(arm.code, 1.0) for arm in arms)
        unchanged += front(arms) == front([arm for arm in arms if arm.code not in stopped])
    assert 1 - spent / planned >= 0.25
    assert unchanged / 200 >= 0.95


def experiment(*, stop: bool = True) -> Experiment:
    """Dense has finished; the dearer rival is far behind, two seeds at three quarters and one that waits."""
    found = planted.experiment()
    Experiment.objects.filter(pk=found.pk).update(stop_dominated=stop)
    planted.store(found, planted.arm("Dense", [planted.run(seed) for seed in range(3)]))
    worse = RunSpec(optim=RunSpec().optim.model_copy(update={"learning_rate": 1e-5}))
    arm = planted.store(found, planted.arm("Worse", [planted.run(s, lag=6.0) for s in range(3)], index=1, spec=worse))
    arm.runs.update(state="queued", finished_at=None, progress=0.75, wall_seconds=5400.0)
    arm.runs.filter(seed=2).update(progress=0.0, wall_seconds=0.0)
    return found


def paused() -> int:
    return Run.objects.filter(arm__label="Worse", pause_requested_at__isnull=False).count()


@pytest.mark.django_db
def test_the_runs_of_a_dominated_arm_are_paused_with_the_reason() -> None:
    experiment()
    assert dominance.weigh() == 3
    assert paused() == 3
    assert all("chance to reach the quality-cost frontier" in event.note for event in RunEvent.objects.all())


@pytest.mark.django_db
def test_an_experiment_that_does_not_ask_is_left_alone() -> None:
    experiment(stop=False)
    assert dominance.weigh() == 0


@pytest.mark.django_db
def test_a_run_that_a_person_resumed_is_not_paused_again() -> None:
    experiment()
    dominance.weigh()
    for run in Run.objects.filter(arm__label="Worse"):
        lifecycle.resume(run, "ada")
    assert dominance.weigh() == 0
    assert paused() == 0


@pytest.mark.django_db
def test_the_hours_saved_are_what_the_paused_runs_would_still_have_taken() -> None:
    found = experiment()
    dominance.weigh()
    spared = dominance.spared(found)
    assert (spared.runs, spared.unit) == (3, "core-hours")
    assert spared.hours == pytest.approx(2 * 0.5 + 2.0)


@pytest.mark.django_db
def test_the_experiments_page_says_what_was_paused_and_saved() -> None:
    found = experiment()
    dominance.weigh()
    ada = User.objects.create_user("ada")
    Membership.objects.create(project=found.project, user=ada)
    client = Client()
    client.force_login(ada)
    page = client.get(f"/experiments/{found.code}/").content.decode()
    assert "3 runs paused, 3.00 core-hours saved so far" in page
