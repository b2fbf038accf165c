"""The saving chart and its forest plot: what is drawn, shaded, and withheld."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.webapp.results import planted
from training.spec import Budget, RunSpec
from webapp.results import forest
from webapp.results.ask import Goal
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.figures import Figure
from webapp.results.saving_chart import SHARES, ratio_axis, saving_at_equal_loss
from webapp.results.savings import findings

SEEDS = (1, 2, 3)
EST = RunSpec(methods=("est",))


def rival(label: str, share: float, lag: float, index: int = 1, spec: RunSpec = EST) -> ArmResult:
    return planted.arm(label, [planted.run(seed, share=share, lag=lag) for seed in SEEDS], index=index, spec=spec)


def against(*rivals: ArmResult) -> Comparison:
    return planted.comparison(planted.arm("Dense", [planted.run(seed) for seed in SEEDS]), *rivals)


def drawn(comparison: Comparison, unit: Unit = Unit.EXECUTED) -> Figure:
    return saving_at_equal_loss(comparison, findings(comparison, unit), unit)


def rows(comparison: Comparison, unit: Unit = Unit.EXECUTED, goal: Goal = Goal.FINAL) -> dict[str, Any]:
    return forest.chart(findings(comparison), unit, goal).figure


def points(comparison: Comparison, goal: Goal = Goal.FINAL) -> list[dict[str, Any]]:
    return [trace for trace in rows(comparison, goal=goal)["data"] if trace["meta"]["role"] == "point"]


def shades(figure: dict[str, Any]) -> list[dict[str, Any]]:
    return [shape for shape in figure["layout"]["shapes"] if shape["type"] == "rect"]


def test_a_saving_is_a_ratio_below_one_with_a_ribbon() -> None:
    figure = drawn(against(rival("EST", 0.9, 0.8))).figure
    assert [trace["meta"] for trace in figure["data"]] == [{"arm": 1, "role": "band"}, {"arm": 1, "role": "mean"}]
    assert figure["data"][1]["y"] == pytest.approx([0.8] * len(figure["data"][1]["y"]), abs=0.02)


def test_harder_targets_stand_to_the_right() -> None:
    left, right = drawn(against(rival("EST", 0.9, 0.8))).figure["layout"]["xaxis"]["range"]
    assert left > right


def test_the_axis_holds_the_whole_ribbon_the_claims_and_1() -> None:
    figure = drawn(against(rival("EST", 0.9, 12.0))).figure
    low, high = figure["layout"]["yaxis"]["range"]
    ratios = [ratio for trace in figure["data"] for ratio in trace["y"]]
    claims = [shape["y0"] for shape in figure["layout"]["shapes"] if shape["line"].get("dash") == "dash"]
    assert 10**low < min(1, *ratios, *claims)
    assert 10**high > max(1, *ratios, *claims)


def test_a_wide_axis_has_few_ticks_and_a_ratio_beyond_all_bounds_is_cut_off() -> None:
    near, wide, endless = ratio_axis([0.8, 1.1]), ratio_axis([0.2, 17.0]), ratio_axis([0.0, None, 1e300])
    assert "1.1" in near["ticktext"]
    assert [tick for tick in wide["tickvals"] if 0.2 <= tick <= 17] == [0.2, 0.5, 1, 2, 5, 10]
    assert endless["range"] == pytest.approx([-6.6, 6.6])


def test_the_papers_claims_are_drawn_dashed() -> None:
    shapes = drawn(against(rival("EST", 0.9, 0.8))).figure["layout"]["shapes"]
    dashed = [shape["y0"] for shape in shapes if shape["line"].get("dash") == "dash"]
    assert dashed == pytest.approx([1 - 4 / 15, 0.75])


def test_a_claim_about_flops_is_not_drawn_over_wall_time() -> None:
    shapes = drawn(against(rival("EST", 0.9, 0.8)), Unit.SECONDS).figure["layout"]["shapes"]
    assert [shape["line"]["dash"] for shape in shapes] == ["solid"]


def test_losses_that_a_seed_missed_are_not_drawn_but_shaded_and_named() -> None:
    chart = drawn(against(rival("EST", 0.7, 1.0)))
    assert 0 < chart.shown < len(SHARES)
    (shade,) = shades(chart.figure)
    assert shade["x0"] > shade["x1"]
    assert all(x >= shade["x0"] for x in chart.figure["data"][-1]["x"])
    labels = [note["text"] for note in chart.figure["layout"]["annotations"]]
    assert "not reached by all seeds: EST" in labels


def test_nothing_is_shaded_where_all_seeds_reach_every_target() -> None:
    assert shades(drawn(against(rival("EST", 0.9, 0.8))).figure) == []


def test_an_unmatched_arm_is_in_neither_chart_and_said_to_be_withheld() -> None:
    comparison = against(rival("EST", 0.9, 0.8, spec=RunSpec(methods=("est",), budget=Budget(steps=900))))
    chart = drawn(comparison)
    assert chart.figure["data"] == []
    assert "EST: withheld, unmatched" in chart.summary
    assert rows(comparison)["data"] == []
    assert [note["text"] for note in rows(comparison)["layout"]["annotations"]] == ["withheld, unmatched"]


def test_the_forest_has_a_row_per_arm_the_cheapest_first() -> None:
    comparison = against(rival("Slow", 1.2, 1.1), rival("Fast", 0.8, 0.7, index=2), rival("Never", 0.5, 1.0, index=3))
    labels = rows(comparison)["layout"]["yaxis"]["ticktext"]
    assert labels == ["Fast<br>n = 3", "Slow<br>n = 3", "Never<br>n = 3"]


def test_a_row_is_a_point_with_the_interval_as_its_bar() -> None:
    comparison = against(rival("EST", 0.9, 0.8))
    (row,) = points(comparison)
    (_, estimate), span = findings(comparison)[0].headline or (None, None), row["error_x"]
    assert estimate is not None
    assert estimate.interval is not None
    assert row["x"][0] + span["array"][0] == pytest.approx(1 - estimate.interval.low, rel=1e-5)
    assert row["x"][0] - span["arrayminus"][0] == pytest.approx(1 - estimate.interval.high, rel=1e-5)


def test_a_censored_row_says_why_it_has_no_point() -> None:
    notes = [note["text"] for note in rows(against(rival("EST", 0.7, 1.0)))["layout"]["annotations"]]
    assert [note.replace("<br>", " ") for note in notes] == ["not shown: 3 of 3 seeds did not reach it"]


def test_the_forest_is_drawn_at_the_target_that_was_asked_for() -> None:
    comparison = against(rival("EST", 0.7, 1.0))
    assert points(comparison) == []
    (row,) = points(comparison, Goal.EARLY)
    assert row["x"][0] == pytest.approx(1.0, abs=0.02)
    assert forest.in_numbers(findings(comparison), Goal.EARLY).caption.endswith("loss at 50% of its cost")


def test_a_papers_claim_stands_dashed_in_the_row_of_its_method_alone() -> None:
    comparison = against(rival("Fast", 0.8, 0.7), rival("Dense again", 1.0, 1.0, index=2, spec=RunSpec()))
    dashed = [trace for trace in rows(comparison)["data"] if trace.get("line", {}).get("dash") == "dash"]
    assert sorted(trace["x"][0] for trace in dashed) == pytest.approx([1 - 4 / 15, 0.75])
    assert {round(sum(trace["y"]) / 2) for trace in dashed} == {0}
    timed = rows(comparison, Unit.SECONDS)["data"]
    assert [trace for trace in timed if trace["meta"]["role"] == "front"] == []


def test_the_twin_prints_ratio_n_and_corrected_p() -> None:
    comparison = against(rival("EST", 0.9, 0.8), rival("Other", 0.9, 0.9, index=2))
    table = forest.in_numbers(findings(comparison))
    first = dict(zip(table.headings, table.rows[0], strict=True))
    assert (first["arm"], first["n"], first["methods judged"], first["verdict"]) == ("EST", 3, 2, "saves")
    assert first["cost ratio"] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("unit", list(Unit))
def test_both_charts_are_plain_json_without_nan_in_every_unit(unit: Unit) -> None:
    comparison = against(rival("EST", 0.7, 1.0), rival("Other", 0.9, 0.9, index=2))
    for chart in (drawn(comparison, unit), forest.chart(findings(comparison, unit), unit)):
        json.dumps(chart.figure, allow_nan=False)
