"""The checklist tells by itself what is open, and of what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.webapp.results import planted
from training.records import Purpose
from training.spec import RunSpec
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun
from webapp.reviews.checklist import checklist
from webapp.reviews.document import Item

SEEDS, BASELINES, LEDGER, VERSIONS, ENDINGS = range(5)
EST = RunSpec(methods=("est",))


def billed(arm: ArmResult) -> ArmResult:
    """The arm with bills and curves that agree with its closed form."""
    return replace(arm, runs=tuple(_billed(run, arm.spec.flops_per_token()) for run in arm.runs))


def _billed(run: SeedRun, per_token: float) -> SeedRun:
    last = run.evaluations[-1]
    spent = per_token * last.tokens
    scale = spent / last.executed
    points = tuple(replace(point, executed=point.executed * scale) for point in run.evaluations)
    line = Line("train", Purpose.TRAIN, spent, spent, last.seconds, last.tokens)
    return replace(run, evaluations=points, lines=(line,))


def complete() -> Comparison:
    dense = billed(planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)]))
    est = billed(planted.arm("EST", [planted.run(seed) for seed in (1, 2, 3)], index=1, spec=EST))
    return planted.comparison(dense, est)


def changed(place: int, **changes: object) -> Comparison:
    """The complete comparison with one arm changed."""
    arms = list(complete().arms)
    arms[place] = replace(arms[place], **changes)  # type: ignore[arg-type]
    return planted.comparison(*arms)


def item(comparison: Comparison, place: int) -> Item:
    return checklist(comparison)[place]


@pytest.mark.parametrize("place", [SEEDS, LEDGER, VERSIONS, ENDINGS])
def test_a_complete_comparison_meets_it(place: int) -> None:
    assert item(complete(), place).is_met


def test_two_seeds_are_too_few_and_named() -> None:
    found = item(changed(1, runs=complete().arms[1].runs[:2]), SEEDS)
    assert (found.is_met, found.evidence) == (False, "EST: 2 finished, 3 needed")


def test_a_method_without_its_equal_flops_twin_is_named() -> None:
    assert "EST: no dense baseline at equal FLOPs" in item(complete(), BASELINES).evidence


def test_a_bill_off_its_formula_is_open() -> None:
    runs = complete().arms[1].runs
    double = tuple(replace(run, lines=(replace(run.lines[0], executed=2 * run.lines[0].executed),)) for run in runs)
    found = item(changed(1, runs=double), LEDGER)
    assert not found.is_met
    assert "EST: counted +100.0% off its formula" in found.evidence


def test_a_bill_that_disagrees_with_its_curve_is_open() -> None:
    run, *others = complete().arms[0].runs
    half = tuple(replace(point, executed=point.executed / 2) for point in run.evaluations)
    found = item(changed(0, runs=(replace(run, evaluations=half), *others)), LEDGER)
    assert "Dense, seed 1: bill and curve differ by 50.0%" in found.evidence


def test_scores_of_another_version_are_open() -> None:
    score = complete().arms[1].scores[0]
    newer = replace(score.test, version=2)
    found = item(changed(1, scores=(replace(score, test=newer),)), VERSIONS)
    assert found.evidence == f"Dense lacks {newer.title}; EST lacks {score.test.title}"


def test_a_run_that_failed_is_named() -> None:
    *others, last = complete().arms[1].runs
    found = item(changed(1, runs=(*others, replace(last, state="failed"))), ENDINGS)
    assert (found.is_met, found.evidence) == (False, "EST, seed 3: failed")


def test_a_finished_run_without_a_finite_loss_is_named() -> None:
    *others, last = complete().arms[1].runs
    lost = replace(last, evaluations=(*last.evaluations[:-1], replace(last.evaluations[-1], loss=None)))
    assert item(changed(1, runs=(*others, lost)), ENDINGS).evidence == "EST, seed 3: no finite final loss"


def test_an_experiment_without_runs_meets_nothing_by_default() -> None:
    empty = planted.comparison()
    assert [found.is_met for found in checklist(empty)] == [False, False, False, True, False]
