"""Intervals against planted truth: they cover what they promise, and claim nothing from noise."""

from __future__ import annotations

import numpy as np
import pytest

from webapp.results.curves import Curve, Reach, cost_to_reach
from webapp.results.statistics import interval, paired_difference, paired_saving, saving_at

DRAWS = 1_000


def coverage(n: int, draw: str) -> float:
    """Share of draws whose interval holds the true mean, 0."""
    rng, hits = np.random.default_rng(7), 0
    for _ in range(DRAWS):
        sample = rng.normal(0, 0.05, n) if draw == "normal" else 0.05 * (rng.gamma(4, 1, n) - 4)
        span = interval(sample)
        assert span is not None
        hits += span.low <= 0 <= span.high
    return hits / DRAWS


@pytest.mark.parametrize(("n", "draw"), [(3, "normal"), (4, "normal"), (5, "normal"), (8, "normal"), (8, "skewed")])
def test_95_percent_intervals_cover_the_truth_in_93_to_97_percent(n: int, draw: str) -> None:
    assert 0.93 <= coverage(n, draw) <= 0.97


def reaches(scale: dict[int, float], loss: float = 3.1) -> dict[int, Reach]:
    """Costs to reach a loss on power laws, `scale` by seed."""
    costs = np.geomspace(1, 1000, 40)
    curves = {seed: Curve(costs, 3 + (costs / value) ** -0.5) for seed, value in scale.items()}
    return {seed: cost_to_reach(curve, loss) for seed, curve in curves.items()}


def test_a_planted_saving_of_power_laws_is_covered_at_five_seeds() -> None:
    rng, hits = np.random.default_rng(11), 0
    for _ in range(300):
        order = {seed: float(np.exp(rng.normal(0, 0.3))) for seed in range(5)}
        ours = {seed: 0.8 * scale * float(np.exp(rng.normal(0, 0.05))) for seed, scale in order.items()}
        span = saving_at(reaches(ours), reaches(order)).interval
        assert span is not None
        hits += span.low <= 0.2 <= span.high
    assert 0.92 <= hits / 300 <= 0.98


def test_swapping_labels_at_random_claims_a_saving_in_at_most_5_percent() -> None:
    rng, claims = np.random.default_rng(13), 0
    for _ in range(DRAWS):
        logs = rng.normal(0.0, 0.05, (2, 6))
        span = interval((logs[0] - logs[1]) * rng.choice([-1, 1], 6))
        assert span is not None
        claims += span.high < 0
    assert claims / DRAWS <= 0.05


def test_the_interval_names_its_method() -> None:
    names = [span.method for n in (3, 4, 5) if (span := interval(list(np.linspace(0.1, 0.2, n))))]
    assert names == ["t-interval", "t-interval", "BCa bootstrap, 9,999 resamples"]


def test_two_seeds_get_a_mean_and_no_interval() -> None:
    estimate = paired_difference({1: 3.0, 2: 3.2}, {1: 3.1, 2: 3.1})
    assert estimate.value == pytest.approx(0)
    assert estimate.interval is None
    assert estimate.note == "no interval: 2 of 3 seeds needed"


def test_equal_values_give_an_interval_without_width() -> None:
    estimate = paired_saving({1: 3.0, 2: 3.0, 3: 3.0}, {1: 4.0, 2: 4.0, 3: 4.0})
    assert estimate.interval is not None
    assert [estimate.interval.low, estimate.interval.high] == pytest.approx([0.25, 0.25])


def test_a_page_is_reproducible() -> None:
    sample = [0.1, 0.13, 0.08, 0.2, 0.11]
    assert interval(sample) == interval(sample)


def test_the_order_of_seeds_does_not_matter() -> None:
    ours, theirs = {1: 2.0, 2: 3.0, 3: 2.5, 4: 2.2}, {1: 3.0, 2: 3.1, 3: 3.3, 4: 2.9}
    assert paired_saving(dict(reversed(ours.items())), theirs) == paired_saving(ours, theirs)


def test_a_saving_is_the_ratio_of_geometric_means() -> None:
    estimate = paired_saving({1: 1.0, 2: 4.0, 3: 2.0}, {1: 2.0, 2: 4.0, 3: 8.0})
    assert estimate.value == pytest.approx(1 - 2.0 / 4.0)


def test_only_shared_seeds_are_paired() -> None:
    assert paired_saving({1: 1.0, 2: 1.0, 9: 5.0}, {1: 2.0, 2: 2.0, 3: 2.0}).n == 2


def test_pairing_removes_what_seeds_share() -> None:
    rng = np.random.default_rng(5)
    order = {seed: float(np.exp(rng.normal(0, 1.0))) for seed in range(6)}
    span = paired_saving({seed: 0.8 * cost for seed, cost in order.items()}, order).interval
    assert span is not None
    assert span.low == pytest.approx(0.2)


def test_no_shared_seed_is_said_in_words() -> None:
    estimate = paired_saving({1: 1.0}, {2: 1.0})
    assert (estimate.value, estimate.note) == (None, "no shared seed")


def test_a_seed_of_the_method_that_misses_leaves_an_upper_limit_of_the_saving() -> None:
    baseline = {seed: Reach(100, "reached") for seed in (1, 2, 3)}
    estimate = saving_at({1: Reach(70, "reached"), 2: Reach(70, "missed"), 3: Reach(70, "missed")}, baseline)
    assert (estimate.bound, estimate.interval, estimate.note) == ("at most", None, "2 of 3 seeds did not reach it")
    assert estimate.value == pytest.approx(0.3)


def test_a_seed_of_the_baseline_that_misses_leaves_a_lower_limit_of_the_saving() -> None:
    ours = {seed: Reach(70, "reached") for seed in (1, 2, 3)}
    estimate = saving_at(ours, {1: Reach(100, "missed"), 2: Reach(100, "reached"), 3: Reach(100, "reached")})
    assert estimate.bound == "at least"
    assert estimate.value == pytest.approx(0.3)


def test_misses_on_both_sides_leave_nothing() -> None:
    ours = {1: Reach(70, "missed"), 2: Reach(70, "reached"), 3: Reach(70, "reached")}
    theirs = {1: Reach(90, "reached"), 2: Reach(90, "missed"), 3: Reach(90, "reached")}
    assert saving_at(ours, theirs).value is None
