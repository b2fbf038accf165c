"""Findings on planted arms: what is claimed, bounded, and refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.webapp.results.planted import arm, comparison, run
from training.records import Purpose
from training.spec import Budget, DataSpec, OptimSpec, RunSpec
from webapp.results.comparison import Comparison, Line, Unit
from webapp.results.savings import findings
from webapp.results.verdict import Verdict

SEEDS = (1, 2, 3)


def against_dense(share: float, lag: float, **changes: Any) -> Comparison:
    """A dense baseline, and an arm with cheaper steps and a curve moved in cost."""
    rival = arm("EST", [run(seed, share=share, lag=lag) for seed in SEEDS], index=1, spec=RunSpec(methods=("est",)))
    return comparison(arm("Dense", [run(seed) for seed in SEEDS]), replace(rival, **changes))


def reasons(found: Comparison) -> str:
    return "; ".join(findings(found)[0].judgement.reasons)


def test_a_planted_saving_is_found_and_called_saving() -> None:
    finding = findings(against_dense(0.9, 0.8))[0]
    assert finding.headline is not None
    assert finding.headline[1].value == pytest.approx(0.2, abs=0.01)
    assert finding.judgement.verdict is Verdict.SAVES


def test_a_method_that_needs_more_costs_more() -> None:
    assert findings(against_dense(1.5, 1.3, spec=RunSpec()))[0].judgement.verdict is Verdict.COSTS_MORE


def test_a_cheaper_arm_that_ends_higher_is_censored_and_no_evidence() -> None:
    finding = findings(against_dense(0.7, 1.0))[0]
    assert finding.headline is not None
    assert finding.headline[1].bound == "at most"
    assert finding.headline[1].note == "3 of 3 seeds did not reach it"
    assert finding.judgement.verdict is Verdict.NO_EVIDENCE


def test_equal_steps_show_the_flops_saved_and_the_loss_paid() -> None:
    budget = findings(against_dense(0.7, 1.0))[0].budget
    assert budget is not None
    assert budget.kind == "steps"
    assert budget.saving.value == pytest.approx(0.3)
    assert budget.loss.value is not None
    assert budget.loss.value > 0


def test_a_baseline_cut_short_is_unmatched() -> None:
    short = arm("Dense", [run(seed, steps=300) for seed in SEEDS], spec=RunSpec(budget=Budget(steps=300)))
    rival = arm("EST", [run(seed, share=0.7) for seed in SEEDS], index=1)
    finding = findings(comparison(short, rival))[0]
    assert finding.judgement.verdict is Verdict.UNMATCHED
    assert finding.budget is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (RunSpec(data=DataSpec(context=64)), "the data is not the same"),
        (RunSpec(batch_size=32), "the batch size is not the same"),
        (RunSpec(optim=OptimSpec(schedule="linear", learning_rate=2e-3)), "optim.learning_rate and optim.schedule are"),
    ],
)
def test_another_setting_is_unmatched_and_named(spec: RunSpec, said: str) -> None:
    assert said in reasons(against_dense(0.9, 0.8, spec=spec))


def test_fewer_than_three_shared_seeds_are_unmatched() -> None:
    few = against_dense(0.9, 0.8, runs=(run(1, share=0.9), run(2, share=0.9), run(3, share=0.9, state="failed")))
    assert reasons(few) == "2 seeds finished in both arms, 3 needed"


def test_no_baseline_is_unmatched() -> None:
    found = against_dense(0.9, 0.8)
    assert reasons(replace(found, arms=found.arms[1:])) == "no arm is marked as the baseline"


def test_a_bill_that_disagrees_with_the_curve_is_unmatched() -> None:
    cheat = replace(run(1, share=0.9, lag=0.8), lines=(Line("train", Purpose.TRAIN, 1e9, 1e9, 1.0, 1),))
    found = against_dense(0.9, 0.8, runs=(cheat, run(2, share=0.9), run(3, share=0.9)))
    assert "the ledger of 1 run is incomplete" in reasons(found)


def test_the_missing_equal_flops_baseline_is_named() -> None:
    assert findings(against_dense(0.7, 1.0))[0].missing == ("equal FLOPs",)


def test_a_shorter_dense_arm_of_equal_flops_is_recognised() -> None:
    found = against_dense(0.5, 1.0)
    spec = RunSpec(budget=Budget(steps=300))
    twin = arm("Dense, equal FLOPs", [run(seed, steps=300) for seed in SEEDS], index=2, spec=spec)
    assert findings(replace(found, arms=(*found.arms, twin)))[0].missing == ()


def test_evaluation_and_redone_work_stay_outside_the_cost() -> None:
    plain = run(1)
    crashed = replace(plain, lines=(*plain.lines, Line("train", Purpose.REDONE, 5e11, 5e11, 9.0, 1)))
    assert crashed.total(Unit.EXECUTED) == plain.total(Unit.EXECUTED) == 6e11


def test_effective_flops_are_not_guessed_when_the_bill_mixes_densities() -> None:
    mixed = replace(run(1), lines=(Line("a", Purpose.TRAIN, 4, 4, 1, 1), Line("b", Purpose.TRAIN, 4, 1, 1, 1)))
    assert mixed.curve(Unit.EFFECTIVE) is None


def test_a_saving_can_be_read_in_every_unit() -> None:
    shown = [findings(against_dense(0.9, 0.8), unit)[0].headline for unit in Unit if unit.accrues]
    assert all(headline is not None and headline[1].value is not None for headline in shown)
