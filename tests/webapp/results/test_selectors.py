"""What the tables say comes out as the values that were planted."""

from __future__ import annotations

import math

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.results.comparison import Unit
from webapp.results.selectors import comparison
from webapp.runs.models import Point, Run, Score, Series

pytestmark = pytest.mark.django_db
OTHER = RunSpec(batch_size=32)


def test_planted_results_come_back_unchanged() -> None:
    experiment = planted.experiment()
    truth = planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)])
    planted.store(experiment, truth)
    read = comparison(experiment).arms[0]
    for ours, theirs in zip(read.runs, truth.runs, strict=True):
        assert (ours.evaluations, ours.lines) == (theirs.evaluations, theirs.lines)
    assert read.scores == truth.scores


def test_the_baseline_comes_first() -> None:
    experiment = planted.experiment()
    planted.store(experiment, planted.arm("EST", [planted.run(1)], index=1, spec=OTHER))
    planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    assert [arm.label for arm in comparison(experiment).arms] == ["Dense", "EST"]


def test_queries_do_not_grow_with_runs(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    small, large = planted.experiment(), planted.experiment()
    planted.store(small, planted.arm("Dense", [planted.run(1)]))
    planted.store(large, planted.arm("Dense", [planted.run(seed) for seed in range(8)]))
    planted.store(large, planted.arm("EST", [planted.run(seed) for seed in range(8)], index=1, spec=OTHER))
    for experiment in (small, large):
        with django_assert_num_queries(5):
            comparison(experiment)


def test_only_succeeded_runs_count() -> None:
    experiment = planted.experiment()
    runs = [planted.run(1), planted.run(2, state="failed"), planted.run(3, state="queued")]
    planted.store(experiment, planted.arm("Dense", runs))
    read = comparison(experiment).arms[0]
    assert len(read.runs) == 3
    assert [run.seed for run in read.finished] == [1]
    totals = read.totals(Unit.EXECUTED)
    assert totals is not None
    assert totals.n == 1


def test_a_loss_that_is_not_finite_is_no_loss() -> None:
    experiment = planted.experiment()
    planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    Point.objects.filter(step=600).update(value=None, finite=False)
    assert comparison(experiment).arms[0].runs[0].final_loss is None


def test_steps_run_on_over_phases() -> None:
    experiment = planted.experiment()
    stored = planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    later = Series.objects.create(run=Run.objects.get(arm=stored), phase="grown", name="val/loss")
    cost = {"flops": 7e11, "tokens": 1, "seconds": 70.0}
    Point.objects.create(series=later, step=50, value=3.0, fence=1, event=99, **cost)
    assert comparison(experiment).arms[0].runs[0].evaluations[-1].steps == 650


def test_scores_of_another_version_are_another_test() -> None:
    experiment = planted.experiment()
    stored = planted.store(experiment, planted.arm("Dense", [planted.run(1), planted.run(2)]))
    Score.objects.filter(run__arm=stored, run__seed=2).update(version=2)
    tests = comparison(experiment).tests
    assert [test.version for test in tests] == [1, 2]


def test_another_experiments_runs_stay_out() -> None:
    ours, theirs = planted.experiment(), planted.experiment()
    planted.store(theirs, planted.arm("Dense", [planted.run(1)]))
    assert comparison(ours).arms == ()


def test_final_loss_has_a_standard_error_over_seeds() -> None:
    runs = [planted.run(seed) for seed in (1, 2, 3)]
    mean = planted.arm("Dense", runs).final_loss
    assert mean is not None
    losses = [run.final_loss for run in runs if run.final_loss is not None]
    centre = sum(losses) / 3
    spread = math.sqrt(sum((loss - centre) ** 2 for loss in losses) / 2) / math.sqrt(3)
    assert mean.n == 3
    assert mean.value == pytest.approx(centre)
    assert mean.stderr == pytest.approx(spread)
