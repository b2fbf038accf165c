"""What the charts hold, before charts.js dresses them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.webapp.results import planted
from training.spec import Budget, RunSpec
from webapp.results.comparison import Comparison, Unit
from webapp.results.evaluations import Evaluation
from webapp.results.figures import ledger_bars
from webapp.results.loss_chart import BUDGET, LINES, MOST, loss_vs_cost, note

SEEDS = (1, 2, 3)


def compared(share: float = 0.9, lag: float = 0.8) -> Comparison:
    runs = [planted.run(seed, share=share, lag=lag) for seed in SEEDS]
    dense = planted.arm("Dense", [planted.run(seed) for seed in SEEDS])
    return planted.comparison(dense, planted.arm("EST", runs, index=1, spec=RunSpec(methods=("est",))))


def roles(figure: dict[str, list[dict[str, dict[str, object]]]], arm: int) -> list[object]:
    return [trace["meta"]["role"] for trace in figure["data"] if trace["meta"]["arm"] == arm]


def test_every_seed_is_drawn_behind_a_band_and_a_mean() -> None:
    assert roles(loss_vs_cost(compared(), Unit.EXECUTED).figure, 1) == ["seed", "band", "mean"]


def test_the_mean_ends_where_the_first_seed_ends() -> None:
    means = [t for t in loss_vs_cost(compared(), Unit.EXECUTED).figure["data"] if t["meta"]["role"] == "mean"]
    assert [mean["x"][-1] for mean in means] == pytest.approx([6e11, 5.4e11])


def test_runs_still_going_are_drawn_thin_and_named() -> None:
    arm = planted.arm("Dense", [planted.run(seed, state="running") for seed in SEEDS])
    figure = loss_vs_cost(planted.comparison(arm), Unit.EXECUTED).figure
    assert roles(figure, 0) == ["seed"]
    assert [trace["name"] for trace in figure["data"] if trace["showlegend"]] == ["Dense (running)"]


def test_figures_carry_no_colour_of_their_own() -> None:
    assert "#" not in json.dumps(loss_vs_cost(compared(), Unit.EXECUTED).figure)


def test_a_long_curve_is_thinned_and_says_so() -> None:
    dips = [3.0 if step == 777 else 5.0 for step in range(1, 5001)]
    long = tuple(Evaluation(step, step, float(step), float(step), dips[step - 1]) for step in range(1, 5001))
    arm = planted.arm("Dense", [replace(planted.run(1), evaluations=long)])
    figure = loss_vs_cost(planted.comparison(arm), Unit.EXECUTED)
    seed = figure.figure["data"][0]
    assert (figure.shown, figure.total) == (len(seed["x"]), 5000)
    assert figure.counted.startswith(f"Showing {figure.shown:,} of 5,000 points, min and max")
    assert len(seed["x"]) <= MOST
    assert 3.0 in seed["y"]
    assert (seed["x"][0], seed["x"][-1]) == (1, 5000)


def test_ledger_bars_of_the_baseline_reach_100_percent_without_what_is_not_counted() -> None:
    bars = ledger_bars(compared(), Unit.EXECUTED).figure["data"]
    counted = [bar for bar in bars[1:] if "not counted" not in bar["name"]]
    assert sum(bar["x"][0] for bar in counted) == pytest.approx(100)


def test_ledger_bars_keep_executed_and_effective_apart() -> None:
    bars = ledger_bars(compared(), Unit.EXECUTED).figure["data"]
    assert bars[0]["y"] == ["Dense<br>formula", "EST<br>formula"]
    assert bars[1]["y"] == ["Dense<br>executed", "Dense<br>effective", "EST<br>executed", "EST<br>effective"]


def test_ledger_bars_in_their_unit_are_the_costs_themselves() -> None:
    comparison = compared()
    bars = ledger_bars(comparison, Unit.EXECUTED, absolute=True).figure
    assert bars["data"][0]["x"][0] == comparison.arms[0].spec.train_flops()
    assert bars["layout"]["shapes"] == []


OTHER = RunSpec(methods=("est",), batch_size=32)


def test_an_unmatched_arm_shows_no_share_of_a_baseline_but_why() -> None:
    runs = [planted.run(seed, share=0.5) for seed in SEEDS]
    unmatched = planted.comparison(*compared().arms, planted.arm("Other", runs, index=2, spec=OTHER))
    figure = ledger_bars(unmatched, Unit.EXECUTED)
    drawn = {(name, x) for bar in figure.figure["data"] for name, x in zip(bar["y"], bar["x"], strict=True)}
    assert [(name, x) for name, x in drawn if name.startswith("Other")] == [("Other", 0)]
    (note,) = figure.figure["layout"]["annotations"]
    assert note["y"] == "Other"
    assert note["text"] == "withheld, unmatched"
    assert "Other: share withheld, the batch size is not the same in both arms" in figure.summary


def test_a_chart_of_many_bars_is_higher() -> None:
    few, many = compared(), planted.comparison(*(compared().arms[0] for _ in range(8)))
    heights = [ledger_bars(found, Unit.EXECUTED).figure["layout"]["height"] for found in (few, many)]
    assert heights[1] - heights[0] == pytest.approx(30 * 3 * (8 - 2), rel=0.2)


def test_an_unmatched_arm_has_its_own_cost_in_its_unit() -> None:
    runs = [planted.run(seed, share=0.5) for seed in SEEDS]
    unmatched = planted.comparison(compared().arms[0], planted.arm("Other", runs, index=1, spec=OTHER))
    (bar,) = (
        bar
        for bar in ledger_bars(unmatched, Unit.EXECUTED, absolute=True).figure["data"]
        if bar["name"] == "train: train"
    )
    assert dict(zip(bar["y"], bar["x"], strict=True))["Other<br>executed"] == pytest.approx(3e11)


def test_a_dense_reference_of_another_budget_is_drawn_beside_the_baseline() -> None:
    short = planted.arm(
        "Short", [planted.run(seed, steps=300) for seed in SEEDS], index=1, spec=RunSpec(budget=Budget(steps=300))
    )
    (bar,) = (
        bar
        for bar in ledger_bars(planted.comparison(compared().arms[0], short), Unit.EXECUTED).figure["data"]
        if bar["name"] == "train: train"
    )
    assert dict(zip(bar["y"], bar["x"], strict=True))["Short<br>executed"] == pytest.approx(50)


def test_what_is_not_counted_is_hatched() -> None:
    bars = ledger_bars(compared(), Unit.EXECUTED).figure["data"]
    assert {bar["name"]: bar["marker"]["pattern"]["shape"] for bar in bars} == {
        "closed form": "",
        "train: train": "",
        "train: eval (not counted)": "/",
    }


@pytest.mark.parametrize("unit", list(Unit))
def test_a_figure_is_plain_json_without_nan(unit: Unit) -> None:
    broken = replace(planted.run(1), evaluations=(*planted.run(1).evaluations, Evaluation(601, 1, 6.1e11, 61.0, None)))
    comparison = planted.comparison(planted.arm("Dense", [broken, planted.run(2)]))
    for figure in (loss_vs_cost(comparison, unit), ledger_bars(comparison, unit)):
        json.dumps(figure.figure, allow_nan=False)


def test_nothing_finished_is_said_in_the_summary() -> None:
    comparison = planted.comparison(planted.arm("Dense", [planted.run(1, state="running")]))
    assert "No run has finished yet" in loss_vs_cost(comparison, Unit.EXECUTED).summary


def test_two_hundred_runs_share_one_budget_of_points() -> None:
    runs = [planted.run(1)]
    steps = tuple(Evaluation(step, step, float(step), float(step), 5.0 / step) for step in range(1, 501))
    arms = [
        planted.arm(f"Arm {index}", [replace(runs[0], seed=seed, evaluations=steps) for seed in range(25)], index=index)
        for index in range(8)
    ]
    figure = loss_vs_cost(planted.comparison(*arms), Unit.EXECUTED)
    assert figure.total == 200 * 500
    assert figure.shown <= BUDGET
    seeds = [trace for trace in figure.figure["data"] if trace["meta"]["role"] == "seed"]
    assert [trace["x"].count(None) for trace in seeds] == [5] * 8


def test_of_many_seeds_lines_are_drawn_from_the_lowest_to_the_highest() -> None:
    ends = [float(2 + (7 * seed) % 101) for seed in range(101)]
    runs = [
        replace(planted.run(seed), evaluations=tuple(Evaluation(at, at, float(at), float(at), end) for at in (1, 2)))
        for seed, end in enumerate(ends)
    ]
    comparison = planted.comparison(planted.arm("Dense", runs))
    drawn = [loss for loss in loss_vs_cost(comparison, Unit.STEPS).figure["data"][0]["y"][::3]]
    assert (len(drawn), drawn[0], drawn[-1]) == (LINES, 2.0, 102.0)
    assert max(np.diff(drawn)) <= 3.0
    assert note(comparison).startswith("Thin: 48 seeds of an arm that has more")


def test_few_seeds_are_all_drawn() -> None:
    assert note(compared()).startswith("Thin: seeds, running ones too")
