"""Costs to reach a loss against curves whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from webapp.results.curves import Curve, band, cost_to_reach, loss_at, targets


def power_law(scale: float, *, floor: float = 3.0, evaluations: int = 40) -> Curve:
    """loss = floor + (cost / scale)^-0.5 at log-even costs."""
    costs = np.geomspace(1, 1000, evaluations)
    return Curve(costs, floor + (costs / scale) ** -0.5)


def test_a_crossing_is_interpolated_in_log_cost() -> None:
    reach = cost_to_reach(Curve.of([10, 1000], [4.0, 2.0]), 3.0)
    assert reach.kind == "reached"
    assert reach.cost == pytest.approx(100)


def test_a_crossing_at_an_evaluation_costs_what_that_evaluation_cost() -> None:
    assert cost_to_reach(Curve.of([10, 100, 1000], [4.0, 3.0, 2.0]), 3.0).cost == pytest.approx(100)


def test_a_known_ratio_of_power_laws_is_found_at_every_target() -> None:
    for loss in (3.2, 3.1, 3.05):
        ours, theirs = cost_to_reach(power_law(0.8), loss), cost_to_reach(power_law(1.0), loss)
        assert ours.cost / theirs.cost == pytest.approx(0.8, rel=2e-3)


def test_the_first_crossing_counts_even_if_the_loss_rises_again() -> None:
    reach = cost_to_reach(Curve.of([10, 100, 1000, 10_000], [4.0, 2.9, 3.5, 2.0]), 3.0)
    assert 10 < reach.cost < 100


def test_a_bump_does_not_move_a_later_crossing() -> None:
    bumpy = Curve.of([10, 100, 1000], [3.4, 3.8, 2.6])
    assert cost_to_reach(bumpy, 3.0).cost == pytest.approx(10 ** (2 + (3.4 - 3.0) / (3.4 - 2.6)))


def test_a_loss_never_reached_is_censored_at_the_total_cost() -> None:
    reach = cost_to_reach(Curve.of([10, 100], [4.0, 3.0]), 2.9)
    assert (reach.kind, reach.cost) == ("missed", 100)


def test_a_loss_met_at_the_first_evaluation_is_only_an_upper_bound() -> None:
    assert cost_to_reach(Curve.of([10, 100], [2.0, 1.0]), 3.0).kind == "early"


def test_a_crossing_after_a_free_first_evaluation_is_an_upper_bound() -> None:
    reach = cost_to_reach(Curve.of([0, 100], [4.0, 1.0]), 3.0)
    assert (reach.kind, reach.cost) == ("early", 100)


def test_an_evaluation_that_was_not_finite_never_counts_as_reached() -> None:
    reach = cost_to_reach(Curve.of([10, 100, 1000], [4.0, None, 2.0]), 3.0)
    assert 100 < reach.cost < 1000


def test_a_run_without_evaluations_is_refused() -> None:
    with pytest.raises(ValueError, match="without evaluations"):
        cost_to_reach(Curve.of([], []), 3.0)


def test_a_loss_is_not_read_beyond_the_evaluations() -> None:
    curve = Curve.of([10, 1000], [4.0, 2.0])
    assert loss_at(curve, 100) == pytest.approx(3.0)
    assert loss_at(curve, 5) is None
    assert loss_at(curve, 2000) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_is_looked_up_as_if_every_evaluation_were_read(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = np.cumsum(rng.uniform(0, 10, 60)) - rng.uniform(0, 30)
    losses = np.where(rng.random(60) < 0.2, np.nan, 3 + rng.normal(0, 0.2, 60) - 0.01 * np.arange(60))
    losses[: seed % 5] = np.nan
    curve = Curve(costs, losses)
    for target in rng.uniform(1.8, 3.4, 50):
        first = next((i for i in range(60) if losses[i] <= target), None)
        reach = cost_to_reach(curve, target)
        if first is None:
            assert (reach.cost, reach.kind) == (costs[-1], "missed")
        elif reach.kind == "early":
            assert reach.cost == costs[first]
            assert first == 0 or costs[first - 1] <= 0 or np.isnan(losses[:first]).all()
        else:
            assert costs[first - 1] <= reach.cost <= costs[first]
            assert loss_at(curve, reach.cost) == pytest.approx(target)


def test_every_baseline_seed_reaches_every_target() -> None:
    baseline = [power_law(1.0, floor=floor) for floor in (3.0, 3.01, 2.98)]
    grid = targets(baseline)
    assert [target.share for target in grid] == [1.0, 0.85, 0.7, 0.5]
    for target in grid:
        assert {cost_to_reach(curve, target.loss).kind for curve in baseline} == {"reached"}


def test_the_headline_target_is_the_lowest() -> None:
    losses = [target.loss for target in targets([power_law(1.0), power_law(1.1)])]
    assert losses[0] == min(losses)


def test_a_band_starts_where_all_seeds_exist_and_ends_where_one_ends() -> None:
    found = band([Curve.of([1, 100], [4, 3]), Curve.of([10, 1000], [4, 3]), Curve.of([5, 500], [4, 3])])
    assert found is not None
    assert (found.costs[0], found.costs[-1]) == (pytest.approx(10), pytest.approx(100))


def test_a_band_of_three_equal_seeds_has_no_width() -> None:
    found = band([power_law(1.0)] * 3)
    assert found is not None
    assert found.half is not None
    assert found.half.max() == pytest.approx(0, abs=1e-12)


def test_two_seeds_have_a_mean_but_no_band() -> None:
    found = band([power_law(1.0), power_law(1.2)])
    assert found is not None
    assert found.half is None
