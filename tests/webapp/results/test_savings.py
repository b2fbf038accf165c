"""Findings on planted arms: what is claimed, bounded, and refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.webapp.results.planted import arm, comparison, run
from training.records import Purpose
from training.spec import Budget, DataSpec, OptimSpec, RunSpec
from webapp.results.comparison import Comparison, Line, Unit
from webapp.results.curves import targets
from webapp.results.matching import stopped
from webapp.results.savings import at_target, contests, findings
from webapp.results.verdict import Verdict

SEEDS = (1, 2, 3)
EST = RunSpec(methods=("est",))


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


UNDECAYED = RunSpec(optim=OptimSpec(floor=0.5))
PLATEAU = RunSpec(optim=OptimSpec(schedule="wsd", decay=0.01))


@pytest.mark.parametrize(
    ("steps", "spec", "said"),
    [
        (420, RunSpec(), "3 runs of the baseline stopped before the end of the budget"),
        (420, RunSpec(budget=Budget(steps=420)), "neither the arm's number of steps (420 against 600) nor its FLOPs"),
        (600, UNDECAYED, "the baseline's learning rate does not decay in full"),
        (600, PLATEAU, "the baseline's learning rate does not decay in full"),
    ],
)
def test_a_cut_short_baseline_that_fakes_a_saving_of_30_percent_is_unmatched(
    steps: int, spec: RunSpec, said: str
) -> None:
    baseline = arm("Dense", [run(seed, lag=1 / 0.7, steps=steps) for seed in SEEDS], spec=spec)
    method = RunSpec(methods=("est",), optim=spec.optim)
    planted = comparison(baseline, arm("EST", [run(seed) for seed in SEEDS], index=1, spec=method))
    sides = [side.curves(Unit.EXECUTED) for side in reversed(planted.arms)]
    fake = at_target(sides[0], sides[1], targets(list(sides[1].values()))[0].loss).value
    (finding,) = findings(planted)
    assert fake == pytest.approx(0.3, abs=0.02)
    assert (finding.judgement.verdict, finding.at_loss, finding.budget) == (Verdict.UNMATCHED, (), None)
    assert said in "; ".join(finding.judgement.reasons)


def test_a_baseline_cut_short_is_no_equal_flops_twin_either() -> None:
    found = against_dense(0.5, 1.0)
    spec = RunSpec(budget=Budget(steps=300), optim=UNDECAYED.optim)
    twin = arm("Half", [run(seed, steps=300) for seed in SEEDS], index=2, spec=spec)
    rival = replace(found.arms[1], spec=RunSpec(methods=("est",), optim=UNDECAYED.optim))
    assert findings(comparison(found.arms[0], rival, twin))[0].missing == ("equal steps", "equal FLOPs")


def test_a_budget_in_flops_may_end_a_step_early() -> None:
    spec = RunSpec(budget=Budget(flops=6.003e11))
    assert stopped(arm("Dense", [run(seed) for seed in SEEDS], spec=spec)) == ()


@pytest.mark.parametrize("budget", [Budget(steps=700), Budget(tokens=700 * 2048), Budget(flops=7e11)])
def test_a_run_that_stopped_early_is_seen_in_every_kind_of_budget(budget: Budget) -> None:
    assert len(stopped(arm("Dense", [run(seed) for seed in SEEDS], spec=RunSpec(budget=budget)))) == 3


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
    few = against_dense(0.9, 0.8, runs=(run(1, share=0.9), run(2, share=0.9)))
    assert reasons(few) == "2 seeds finished in both arms, 3 needed"


@pytest.mark.parametrize("state", ["failed", "cancelled", "running", "quarantined"])
def test_an_arm_is_judged_by_all_its_seeds_or_not_at_all(state: str) -> None:
    """Who leaves out the seeds that went wrong chooses among results."""
    runs = [run(seed, share=0.9, lag=0.8) for seed in (1, 2, 3, 4)]
    some = against_dense(0.9, 0.8, runs=(*runs, replace(runs[0], seed=5, state=state)))
    assert reasons(some) == f"1 of 5 runs of the arm has not finished (1 {state})"


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


def several(count: int, lag: float) -> Comparison:
    """One method whose paired seeds scatter, and others that are no different from the baseline."""
    noise = {1: 0.97, 2: 1.0, 3: 1.03}
    others = [
        arm(f"Same {i}", [run(seed, lag=noise[seed] ** (i + 2)) for seed in SEEDS], index=i + 2, spec=EST)
        for i in range(count - 1)
    ]
    saver = arm("Saver", [run(seed, lag=lag * noise[seed]) for seed in SEEDS], index=1, spec=EST)
    return comparison(arm("Dense", [run(seed) for seed in SEEDS]), saver, *others)


def test_a_saving_that_stands_alone_falls_when_it_was_one_of_several_tries() -> None:
    alone, among = findings(several(1, 0.9))[0], findings(several(4, 0.9))[0]
    assert alone.judgement.verdict is Verdict.SAVES
    assert among.judgement.verdict is Verdict.NO_EVIDENCE
    assert "4 methods are judged together" in among.judgement.reasons[0]
    assert alone.headline == among.headline


def test_a_strong_saving_survives_the_correction() -> None:
    assert findings(several(4, 0.5))[0].judgement.verdict is Verdict.SAVES


def test_unmatched_and_dense_arms_are_not_among_those_judged() -> None:
    found = several(2, 0.9)
    odd = arm("Odd", [run(seed) for seed in SEEDS], index=8, spec=RunSpec(methods=("est",), batch_size=32))
    dense = arm("Dense again", [run(seed) for seed in SEEDS], index=9)
    families = [
        finding.evidence and finding.evidence.family for finding in findings(comparison(*found.arms, odd, dense))
    ]
    assert families == [2, 2, None, 1]


def test_an_open_question_comes_with_the_seeds_that_would_settle_it() -> None:
    lags = dict(zip(SEEDS, (0.8, 0.9, 0.99), strict=True))
    wide = tuple(run(seed, lag=lag) for seed, lag in lags.items())
    finding = findings(against_dense(1.0, 1.0, runs=wide))[0]
    assert finding.judgement.verdict is Verdict.NO_EVIDENCE
    assert finding.hint is not None
    assert finding.hint.seeds is not None
    assert finding.hint.difference == pytest.approx(0.107, abs=0.01)


def test_two_methods_are_held_against_each_other() -> None:
    contest, *rest = contests(findings(several(3, 0.5)))
    assert len(rest) == 2
    assert (contest.ours.label, contest.theirs.label, contest.evidence.family) == ("Saver", "Same 0", 3)
    assert contest.saving.value == pytest.approx(0.5, abs=0.02)


def test_energy_is_compared_at_equal_budget_where_runs_measured_it() -> None:
    found = against_dense(0.9, 0.8)
    joules = [
        replace(each, runs=tuple(replace(run, joules=cost * run.seed) for run in each.runs))
        for each, cost in zip(found.arms, (100.0, 75.0), strict=True)
    ]
    budget, bare = findings(comparison(*joules))[0].budget, findings(found)[0].budget
    assert budget is not None
    assert bare is not None
    assert budget.by_unit[Unit.JOULES].value == pytest.approx(0.25)
    assert Unit.JOULES not in bare.by_unit


def test_a_saving_can_be_read_in_every_unit() -> None:
    shown = [findings(against_dense(0.9, 0.8), unit)[0].headline for unit in Unit if unit.accrues]
    assert all(headline is not None and headline[1].value is not None for headline in shown)


def test_a_method_that_plans_for_less_of_its_budget_did_not_stop_early() -> None:
    spec = RunSpec.model_validate(
        {"task": "image_classification", "methods": ["spfde"], "knobs": {"spfde": {"sieve": 0.2}}}
    )
    steps = spec.steps()
    whole = arm("Sieved", [run(seed, steps=round(0.8 * steps)) for seed in range(3)], spec=spec)
    short = arm("Short", [run(seed, steps=round(0.6 * steps)) for seed in range(3)], spec=spec)
    assert not stopped(whole)
    assert len(stopped(short)) == 3


@pytest.mark.parametrize(("ours", "verdict"), [(0.2, Verdict.NO_EVIDENCE), (0.4, Verdict.SAVES)])
def test_a_method_that_scores_worse_downstream_has_saved_nothing(ours: float, verdict: Verdict) -> None:
    found = against_dense(0.9, 0.8)
    rival = arm("EST", found.arms[1].runs, index=1, spec=EST, acc=ours)
    (finding,) = findings(comparison(found.arms[0], rival))
    assert finding.downstream is not None
    assert finding.downstream.value == pytest.approx(ours - 0.3)
    assert finding.judgement.verdict is verdict


def test_a_lower_score_is_better_where_the_test_says_so() -> None:
    found = against_dense(0.9, 0.8)
    ours, theirs = (replace(each.scores[0], higher_is_better=False) for each in found.arms)
    rival = arm("EST", found.arms[1].runs, index=1, spec=EST, acc=0.2)
    ours = replace(rival.scores[0], higher_is_better=False)
    both = comparison(replace(found.arms[0], scores=(theirs,)), replace(rival, scores=(ours,)))
    finding = findings(both)[0]
    assert finding.downstream is not None
    assert finding.downstream.value == pytest.approx(0.1)


def test_a_run_of_either_side_that_stopped_early_is_told() -> None:
    whole, short = against_dense(0.9, 0.8), [run(seed, share=0.9, lag=0.8, steps=400) for seed in SEEDS]
    assert "3 runs of the arm stopped before the end of the budget" in reasons(
        comparison(whole.arms[0], replace(whole.arms[1], runs=tuple(short)))
    )


@pytest.mark.parametrize("side", [0, 1])
def test_a_bill_of_either_side_that_disagrees_with_its_curve_is_told(side: int) -> None:
    found = against_dense(0.9, 0.8)
    first, *others = found.arms[side].runs
    lines = tuple(replace(line, executed=2 * line.executed) for line in first.lines)
    arms = [*found.arms]
    arms[side] = replace(arms[side], runs=(replace(first, lines=lines), *others))
    assert reasons(comparison(*arms)) == "the ledger of 1 run is incomplete or disagrees with the curve"
