"""What the tables say comes out as the values that were planted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.webapp.results import planted
from training import records
from training.records import EFFECTIVE_SO_FAR
from training.spec import RunSpec
from webapp.experiments.models import Arm, Experiment
from webapp.results.comparison import Unit
from webapp.results.selectors import comparison, stamp
from webapp.runs import port
from webapp.runs.models import CostLine, Point, Run, Score, Series

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


def test_evaluations_come_in_the_order_of_their_steps_however_they_are_stored() -> None:
    experiment = planted.experiment()
    run = planted.run(1)
    planted.store(experiment, planted.arm("Dense", [replace(run, evaluations=tuple(reversed(run.evaluations)))]))
    assert comparison(experiment).arms[0].runs[0].evaluations == run.evaluations


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
        with django_assert_num_queries(6):
            comparison(experiment)


def test_what_is_known_already_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    experiment = planted.experiment()
    planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    known = comparison(experiment)
    with django_assert_num_queries(1):
        assert comparison(experiment) is known


@pytest.mark.parametrize(
    "change",
    [
        lambda: Run.objects.update(state="failed"),
        lambda: Arm.objects.update(label="Renamed"),
        lambda: Experiment.objects.update(question="Another?"),
        lambda: CostLine.objects.update(effective=1.0),
        lambda: Score.objects.update(value=0.99),
        lambda: Score.objects.all().delete(),
    ],
)
def test_whatever_changes_in_the_tables_is_read_anew(change: Callable[[], object]) -> None:
    experiment = planted.experiment()
    planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    before = stamp(experiment), comparison(experiment)
    change()
    experiment.refresh_from_db()
    assert stamp(experiment) != before[0]
    assert comparison(experiment) != before[1]


def test_points_that_a_worker_adds_are_read_at_once() -> None:
    experiment = planted.experiment()
    stored = planted.store(experiment, planted.arm("Dense", [planted.run(1, state="queued")]))
    lease = port.claim("cpu", "cpu0@test")
    assert lease is not None
    port.start(lease, {})
    before = len(comparison(experiment).arms[0].runs[0].evaluations)
    port.record(lease, [records.Point("train", "val/loss", 700, 2.0, 7e11, 1, 70.0)], [], 0.5)
    read = comparison(experiment).arms[0].runs[0].evaluations
    assert (len(read), read[-1].loss) == (before + 1, 2.0)
    assert stored.runs.count() == 1


def test_points_that_a_resume_superseded_are_gone() -> None:
    experiment = planted.experiment()
    planted.store(experiment, planted.arm("Dense", [planted.run(1)]))
    Point.objects.filter(step=600).update(superseded=True)
    assert comparison(experiment).arms[0].runs[0].evaluations[-1].steps < 600


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


def sparse() -> tuple[Experiment, Series]:
    """One run whose first half is dense and second half sparse, and the series that tells so."""
    half = planted.run(1)
    lines = tuple(replace(line, effective=0.7 * line.executed) for line in half.lines)
    experiment = planted.experiment()
    stored = planted.store(experiment, planted.arm("Sparse", [replace(half, lines=lines)]))
    return experiment, Series.objects.create(run=Run.objects.get(arm=stored), phase="train", name=EFFECTIVE_SO_FAR)


def test_effective_flops_along_the_way_are_those_that_the_run_told() -> None:
    experiment, told = sparse()
    executed = dict(Point.objects.filter(series__name="val/loss").values_list("step", "flops"))
    late = {step: 0.5 * flops for step, flops in executed.items() if step > 300}
    cost = {"flops": 1.0, "tokens": 1, "seconds": 1.0, "fence": 1, "event": 99}
    Point.objects.bulk_create(Point(series=told, step=step, value=value, **cost) for step, value in late.items())
    (run,) = comparison(experiment).arms[0].runs
    curve = run.curve(Unit.EFFECTIVE)
    assert curve is not None
    assert list(curve.costs) == [late.get(at.steps, at.executed) for at in run.evaluations]
    assert [run.effective(at) for at in run.evaluations] == list(curve.costs)


def test_effective_flops_that_no_run_told_along_the_way_are_not_made_up() -> None:
    experiment, _ = sparse()
    (run,) = comparison(experiment).arms[0].runs
    assert run.curve(Unit.EFFECTIVE) is None
    assert run.effective(run.evaluations[-1]) is None
    assert run.total(Unit.EFFECTIVE) == pytest.approx(0.7 * (run.total(Unit.EXECUTED) or 0.0))


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
