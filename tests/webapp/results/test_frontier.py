"""Who dominates whom, at planted costs and qualities."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.webapp.results import planted
from training.records import Purpose
from training.spec import RunSpec
from webapp.results import frontier_chart
from webapp.results.comparison import ArmResult, Comparison, Line, Unit
from webapp.results.frontier import Frontier, Quality, Standing, cost, frontier, qualities

SEEDS = (1, 2, 3)
EST = RunSpec(methods=("est",))


def arm(label: str, index: int, *, share: float, acc: float, seeds: tuple[int, ...] = SEEDS) -> ArmResult:
    runs = [planted.run(seed, share=share) for seed in seeds]
    return planted.arm(label, runs, index=index, spec=EST if index else None, acc=acc)


def placed(*arms: ArmResult, unit: Unit = Unit.EXECUTED, key: str = "mean", overheads: bool = True) -> Frontier:
    comparison = planted.comparison(*arms)
    return frontier(comparison, unit, quality(comparison, key), overheads=overheads)


def quality(comparison: Comparison, key: str) -> Quality:
    return next(entry for entry in qualities(comparison) if entry.key == key)


def standings(found: Frontier) -> dict[str, Standing]:
    return {position.arm.label: position.standing for position in found.positions}


def test_a_dearer_and_worse_arm_is_dominated() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.30), arm("EST", 1, share=0.7, acc=0.35))
    assert standings(found) == {"EST": Standing.FRONT, "Dense": Standing.DOMINATED}


def test_a_dearer_and_better_arm_is_on_the_front() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.35), arm("EST", 1, share=0.7, acc=0.30))
    assert set(standings(found).values()) == {Standing.FRONT}


def test_a_lead_within_noise_is_a_tie() -> None:
    cheap, dear = arm("EST", 1, share=0.7, acc=0.301), arm("Dense", 0, share=1.0, acc=0.30)
    noisy = replace(cheap.scores[0], by_seed={1: 0.25, 2: 0.36, 3: 0.30})
    assert standings(placed(dear, replace(cheap, scores=(noisy,)))) == {"EST": Standing.FRONT, "Dense": Standing.TIED}


def test_two_seeds_never_dominate() -> None:
    arms = (arm("Dense", 0, share=1.0, acc=0.3, seeds=(1, 2)), arm("EST", 1, share=0.7, acc=0.5, seeds=(1, 2)))
    assert standings(placed(*arms))["Dense"] is Standing.TIED


def test_positions_come_cheapest_first() -> None:
    arms = (arm("Dense", 0, share=1.0, acc=0.3), arm("EST", 1, share=0.7, acc=0.2), arm("Half", 2, share=0.5, acc=0.1))
    assert [position.arm.label for position in placed(*arms).positions] == ["Half", "EST", "Dense"]


def test_overheads_move_an_arm() -> None:
    run = planted.run(1)
    distilled = replace(run, lines=(*run.lines, Line("teach", Purpose.DISTILL, 3e11, 3e11, 9.0, 0)))
    assert cost(distilled, Unit.EXECUTED, overheads=False) == pytest.approx(6e11)
    assert cost(distilled, Unit.EXECUTED, overheads=True) == pytest.approx(6e11 + 0.6e11 + 3e11)


def test_inference_is_no_training_cost_either_way() -> None:
    run = planted.run(1)
    adapted = replace(run, lines=(*run.lines, Line("test", Purpose.ADAPT, 9e11, 9e11, 9.0, 0)))
    assert cost(adapted, Unit.EXECUTED, overheads=True) == cost(run, Unit.EXECUTED, overheads=True)


def test_an_overhead_can_cost_an_arm_its_place() -> None:
    dense, est = arm("Dense", 0, share=1.0, acc=0.30), arm("EST", 1, share=0.7, acc=0.30)
    searched = Line("search", Purpose.META, 9e11, 9e11, 9.0, 0)
    dear = replace(est, runs=tuple(replace(run, lines=(*run.lines, searched)) for run in est.runs))
    assert standings(placed(dense, dear, overheads=False))["Dense"] is Standing.DOMINATED
    assert standings(placed(dense, dear, overheads=True))["EST"] is Standing.DOMINATED


def test_loss_counts_downwards() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.3), arm("EST", 1, share=0.5, acc=0.3), key="loss")
    assert all((position.quality.value or 0) < 0 for position in found.positions)
    assert set(standings(found).values()) == {Standing.FRONT}


def test_the_mean_uses_only_tests_that_every_scored_arm_took() -> None:
    dense, est = arm("Dense", 0, share=1.0, acc=0.3), arm("EST", 1, share=0.7, acc=0.3)
    easy = replace(est.scores[0], test=replace(est.scores[0].test, task="choice"), by_seed=dict.fromkeys(SEEDS, 1.0))
    found = placed(dense, replace(est, scores=(*est.scores, easy)))
    assert found.positions[0].quality.value == pytest.approx(found.positions[1].quality.value)


def test_an_arm_without_a_score_is_named_not_placed() -> None:
    bare = replace(arm("EST", 1, share=0.7, acc=0.3), scores=())
    found = placed(arm("Dense", 0, share=1.0, acc=0.3), bare)
    assert found.absent == ("EST",)
    assert "not placed" in str(frontier_chart.in_words(found).rows[-1])


def test_the_table_says_who_dominates_whom_and_by_how_much() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.30), arm("EST", 1, share=0.7, acc=0.35))
    words = {row[0]: row[-1] for row in frontier_chart.in_words(found).rows}
    assert words["Dense"] == "dominated by EST (30.0% cheaper, 5 points better)"


def test_the_front_is_a_step_through_its_arms() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.35), arm("EST", 1, share=0.7, acc=0.30))
    (line,) = [trace for trace in frontier_chart.chart(found).figure["data"] if trace["meta"]["role"] == "front"]
    assert line["line"]["shape"] == "hv"
    assert line["y"] == pytest.approx([30, 35, 35], abs=1)


def test_dominated_points_are_faded_and_still_speak() -> None:
    found = placed(arm("Dense", 0, share=1.0, acc=0.30), arm("EST", 1, share=0.7, acc=0.35))
    points = {trace["name"]: trace for trace in frontier_chart.chart(found).figure["data"] if "name" in trace}
    assert points["Dense"]["opacity"] < points["EST"]["opacity"]
    assert "dominated by EST" in points["Dense"]["hovertext"][0]


def test_points_carry_error_bars_of_both_axes() -> None:
    runs = [planted.run(seed, steps=600 + seed) for seed in SEEDS]
    found = placed(planted.arm("Dense", runs))
    point = frontier_chart.chart(found).figure["data"][-1]
    assert {"error_x", "error_y"} <= point.keys()
