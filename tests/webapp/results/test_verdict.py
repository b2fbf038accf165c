"""The verdict rule, case by case."""

from __future__ import annotations

from webapp.results.comparison import Mean
from webapp.results.statistics import Estimate, Evidence, Interval
from webapp.results.verdict import Verdict, judge

LEVEL = Mean(0.0, 0.01, 3)
ALONE = Evidence(0.01, 0.01, 1)


def saving(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, 3, Interval(low, high, "t-interval, n = 3"), p=0.01, spread=0.05)


def test_an_interval_above_zero_with_quality_kept_saves() -> None:
    assert judge(saving(0.05, 0.3), ALONE, LEVEL, ()).verdict is Verdict.SAVES


def test_an_interval_around_zero_is_no_evidence() -> None:
    assert judge(saving(-0.01, 0.3), ALONE, LEVEL, ()).verdict is Verdict.NO_EVIDENCE


def test_an_interval_that_touches_zero_is_no_evidence() -> None:
    assert judge(saving(0.0, 0.3), ALONE, LEVEL, ()).verdict is Verdict.NO_EVIDENCE


def test_an_interval_below_zero_costs_more() -> None:
    assert judge(saving(-0.3, -0.05), ALONE, LEVEL, ()).verdict is Verdict.COSTS_MORE


def test_a_saving_that_costs_downstream_accuracy_is_no_evidence() -> None:
    judgement = judge(saving(0.05, 0.3), ALONE, Mean(-0.02, 0.01, 3), ())
    assert judgement.verdict is Verdict.NO_EVIDENCE
    assert "fell by 2 points" in judgement.reasons[0]


def test_a_downstream_loss_within_its_noise_is_forgiven() -> None:
    assert judge(saving(0.05, 0.3), ALONE, Mean(-0.009, 0.01, 3), ()).verdict is Verdict.SAVES


def lower(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, 3, Interval(low, high, "t-interval, n = 3"), p=0.01, spread=0.05)


def test_a_saving_that_training_for_less_would_have_made_is_no_evidence() -> None:
    judgement = judge(saving(0.05, 0.3), ALONE, LEVEL, (), lower(0.01, 0.2))
    assert judgement.verdict is Verdict.NO_EVIDENCE
    assert judgement.reasons == ("the dense arm of equal FLOPs ended at a lower loss",)
    for twin in (lower(-0.2, -0.01), lower(-0.01, 0.2), None):
        assert judge(saving(0.05, 0.3), ALONE, LEVEL, (), twin).verdict is Verdict.SAVES


def test_a_saving_without_downstream_scores_is_unmatched() -> None:
    assert judge(saving(0.05, 0.3), ALONE, None, ()).verdict is Verdict.UNMATCHED


def test_a_bound_is_never_evidence() -> None:
    estimate = Estimate(0.3, 3, bound="at most", note="2 of 3 seeds did not reach it")
    judgement = judge(estimate, ALONE, LEVEL, ())
    assert (judgement.verdict, judgement.reasons) == (Verdict.NO_EVIDENCE, ("2 of 3 seeds did not reach it",))


def test_any_reason_against_the_match_outweighs_the_numbers() -> None:
    assert (
        judge(saving(0.05, 0.3), ALONE, LEVEL, ("the data is not the same in both arms",)).verdict is Verdict.UNMATCHED
    )


def test_an_interval_that_only_the_correction_for_several_methods_undoes_is_no_evidence() -> None:
    judgement = judge(saving(0.05, 0.3), Evidence(0.02, 0.06, 3), LEVEL, ())
    assert judgement.verdict is Verdict.NO_EVIDENCE
    assert judgement.reasons == ("p = 0.02 alone, but 0.06 when 3 methods are judged together (Holm), above 0.05",)


def test_a_correction_undoes_a_cost_as_it_undoes_a_saving() -> None:
    assert judge(saving(-0.3, -0.05), Evidence(0.02, 0.06, 3), LEVEL, ()).verdict is Verdict.NO_EVIDENCE


def test_evidence_that_survives_the_correction_saves() -> None:
    assert judge(saving(0.05, 0.3), Evidence(0.01, 0.03, 3), LEVEL, ()).verdict is Verdict.SAVES


def test_seeds_that_agree_to_the_last_digit_are_no_evidence() -> None:
    same = Estimate(0.2, 3, Interval(0.2, 0.2, "no spread over seeds"))
    assert judge(same, None, LEVEL, ()).verdict is Verdict.NO_EVIDENCE
