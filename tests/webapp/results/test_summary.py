"""Rows for the terminal and JSON for REST say what the page says."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tests.webapp.results import planted
from training.spec import Budget, RunSpec
from webapp.results import notation, tables, wording
from webapp.results.comparison import Comparison, Unit
from webapp.results.savings import findings
from webapp.results.statistics import Estimate, Interval
from webapp.results.summary import comparison_json, comparison_table

SEEDS = (1, 2, 3)
EST = RunSpec(methods=("est",))


def compared(share: float = 0.9, lag: float = 0.8) -> Comparison:
    runs = [planted.run(seed, share=share, lag=lag) for seed in SEEDS]
    dense = planted.arm("Dense", [planted.run(seed) for seed in SEEDS])
    return planted.comparison(dense, planted.arm("EST", runs, index=1, spec=EST))


def said(comparison: Comparison) -> str:
    (answer,) = wording.answers(findings(comparison))
    return " ".join((answer.strong, *answer.sentences))


def test_a_row_per_arm_with_the_same_columns() -> None:
    dense, est = comparison_table(compared())
    assert list(dense) == list(est)
    assert (dense["verdict"], est["verdict"]) == ("baseline", "saves")
    assert (dense["executed FLOPs"], est["executed FLOPs"]) == ("600 GFLOP", "540 GFLOP")
    assert est["saving at equal budget"] == "10.0% [10.0, 10.0]"


def test_json_holds_no_value_that_json_cannot() -> None:
    read = json.loads(json.dumps(comparison_json(compared()), allow_nan=False))
    assert read["findings"][0]["verdict"] == "saves"
    assert read["findings"][0]["at_equal_loss"][0]["value"] == pytest.approx(0.2, abs=0.01)


def test_json_repeats_the_answer_of_the_page() -> None:
    comparison = compared()
    assert comparison_json(comparison)["findings"][0]["answer"] == said(comparison)


def test_executed_and_effective_flops_stand_apart() -> None:
    assert {"executed", "effective"} <= comparison_json(compared())["arms"][0]["totals"].keys()


def test_a_dense_arm_of_equal_flops_is_a_reference_and_answers_the_method() -> None:
    comparison = compared(share=0.5, lag=0.7)
    runs = [planted.run(seed, steps=300) for seed in SEEDS]
    twin = planted.arm("Half", runs, index=2, spec=RunSpec(budget=Budget(steps=300)))
    both = planted.comparison(*comparison.arms, twin)
    assert "Against the dense arm of equal FLOPs it ended" in said(both)
    assert "There is no dense baseline" not in said(both)
    assert comparison_table(both)[2]["verdict"] == "baseline"


def test_without_it_the_page_says_that_it_is_missing() -> None:
    assert "no dense baseline at equal FLOPs" in said(compared(share=0.5))


def unmatched() -> Comparison:
    comparison = compared()
    rival = replace(comparison.arms[1], spec=RunSpec(methods=("est",), batch_size=32))
    return planted.comparison(comparison.arms[0], rival)


def test_an_unmatched_comparison_gives_reasons_and_no_saving_in_words() -> None:
    assert said(unmatched()) == (
        "No claim for EST: the comparison is unmatched. The batch size is not the same in both arms. There is no dense "
        "baseline at equal steps and at equal FLOPs to within 2% in this experiment: whether a dense run as cheap as "
        "this, fully decayed, ends as low is not measured."
    )


def test_an_unmatched_comparison_gives_reasons_and_no_saving_in_json() -> None:
    (finding,) = comparison_json(unmatched())["findings"]
    assert (finding["verdict"], finding["reasons"]) == ("unmatched", ["the batch size is not the same in both arms"])
    assert (finding["at_equal_loss"], finding["at_equal_budget"], finding["more_seeds"]) == ([], None, None)


def test_an_unmatched_comparison_gives_reasons_and_no_saving_in_any_table() -> None:
    comparison = unmatched()
    found, reason = findings(comparison), "the batch size is not the same in both arms"
    row = comparison_table(comparison)[1]
    assert (row["saving at equal loss"], row["saving at equal budget"]) == ("withheld", "withheld")
    assert tables.savings(found).rows == (("EST", *[None] * 7, "withheld", reason),)
    assert tables.budgets(found).rows == ()
    assert tables.savings_in_words(found).rows == (("withheld, unmatched", reason),)
    assert tables.budgets_in_words(found).rows == (("EST", notation.NONE, notation.NONE, reason),)


def test_why_an_arm_is_withheld_stands_apart_from_budgets_and_savings() -> None:
    dense, est = compared().arms
    other = replace(unmatched().arms[1], code="arm2", index=2, label="Larger batch")
    alone = tables.budgets_in_words(findings(compared()))
    assert "why withheld" not in alone.headings
    both = tables.budgets_in_words(findings(planted.comparison(dense, other, est)))
    assert both.headings == (*alone.headings, "why withheld")
    first, second = (dict(zip(both.headings, row, strict=True)) for row in both.rows)
    assert (first["budget"], first["executed FLOPs"]) == (notation.NONE, "withheld")
    assert first["why withheld"] == "the batch size is not the same in both arms"
    assert (*alone.rows[0], notation.NONE) == both.rows[1] == tuple(second.values())


def test_the_page_says_what_the_target_is() -> None:
    assert "the baseline's final loss (3.408, the highest of its seeds)" in said(compared())


def test_the_page_says_that_several_methods_are_judged_together() -> None:
    comparison = compared()
    twin = replace(comparison.arms[1], code="arm2", index=2, label="EST again")
    both = wording.answers(findings(planted.comparison(*comparison.arms, twin)))
    assert "corrected for 2 methods (Holm)" in " ".join(both[0].sentences)
    assert "Holm" not in said(comparison)


def test_what_limits_all_methods_alike_is_said_once() -> None:
    comparison = compared()
    twin = replace(comparison.arms[1], code="arm2", index=2, label="EST again")
    given = wording.answers(findings(planted.comparison(*comparison.arms, twin)))
    assert all("no dense baseline at equal FLOPs" in answer.sentences[-1] for answer in given)
    shown, limits = wording.limited(given)
    assert "no dense baseline at equal FLOPs" in limits
    assert [(*answer.sentences, limits) for answer in shown] == [answer.sentences for answer in given]
    alone = wording.answers(findings(comparison))
    assert wording.limited(alone) == (alone, "")


def test_limits_that_differ_stay_with_their_methods() -> None:
    comparison = compared()
    unmatched = EST.model_copy(update={"batch_size": 4})
    other = replace(comparison.arms[1], code="arm2", index=2, label="other", spec=unmatched)
    given = wording.answers(findings(planted.comparison(*comparison.arms, other)))
    assert len({answer.limits for answer in given}) == 2
    assert wording.limited(given) == (given, "")


def test_an_open_question_names_the_seeds_to_add() -> None:
    runs = [planted.run(seed, lag=lag) for seed, lag in zip(SEEDS, (0.8, 0.9, 0.99), strict=True)]
    rival = planted.arm("EST", runs, index=1, spec=EST)
    text = said(planted.comparison(compared().arms[0], rival))
    assert re.search(r"About \d more seeds would settle a difference of 10\.\d% \(80% power", text)


def test_a_bound_is_written_as_one() -> None:
    assert notation.saving(Estimate(0.12, 5, bound="at least", note="1 of 5 baseline seeds did not reach it")) == (
        "≥ 12.0%: 1 of 5 baseline seeds did not reach it"
    )


def test_an_estimate_carries_its_interval_in_brackets() -> None:
    assert notation.saving(Estimate(-0.04, 3, Interval(-0.12, 0.031, "t-interval"))) == "−4.0% [−12.0, 3.1]"


def test_what_costs_twice_and_more_is_written_as_a_ratio() -> None:
    assert notation.saving(Estimate(-15.97, 3, Interval(-39.2, -6.16, "t-interval"))) == "17.0× the cost [7.16, 40.2]"
    assert notation.saving(Estimate(-0.99, 3)) == "−99.0%"
    dear = said(compared(share=2.5))
    assert "At equal steps it used 2.50× the executed FLOPs" in dear


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (4.12e13, Unit.EXECUTED, "41.2 TFLOP"),
        (999.7e9, Unit.EFFECTIVE, "1.00 TFLOP"),
        (1_228_800, Unit.TOKENS, "1.23 M"),
        (600, Unit.STEPS, "600"),
        (221, Unit.SECONDS, "3:41"),
        (3725, Unit.SECONDS, "1:02:05"),
    ],
)
def test_costs_have_units_and_three_digits(value: float, unit: Unit, written: str) -> None:
    assert notation.quantity(value, unit) == written
