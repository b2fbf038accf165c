"""Intervals against planted truth: they cover what they promise, and claim nothing from noise."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import stats

from webapp.results.curves import Curve, Reach, cost_to_reach
from webapp.results.statistics import (
    Estimate,
    hint,
    holm,
    interval,
    paired_difference,
    paired_saving,
    saving_at,
    weigh,
)

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


def test_a_planted_saving_of_power_laws_is_covered_in_93_to_97_percent_at_five_seeds() -> None:
    rng, hits = np.random.default_rng(11), 0
    for _ in range(DRAWS):
        order = {seed: float(np.exp(rng.normal(0, 0.3))) for seed in range(5)}
        ours = {seed: 0.8 * scale * float(np.exp(rng.normal(0, 0.05))) for seed, scale in order.items()}
        span = saving_at(reaches(ours), reaches(order)).interval
        assert span is not None
        hits += span.low <= 0.2 <= span.high
    assert 0.93 <= hits / DRAWS <= 0.97


def permuted(rng: np.random.Generator, *, arms: int, seeds: int) -> list[Estimate]:
    """Savings of `arms` methods, one of which truly saves, after the labels are shuffled within every seed."""
    truth = np.log([1.0, 0.9, *[1.0] * (arms - 1)])
    logs = rng.permuted(truth + rng.normal(0, 0.05, (seeds, arms + 1)), axis=1)
    baseline, *methods = ({seed: float(cost) for seed, cost in enumerate(np.exp(column))} for column in logs.T)
    return [paired_saving(method, baseline) for method in methods]


def clear(estimate: Estimate) -> bool:
    span = estimate.interval
    return span is not None and not span.low <= 0 <= span.high


@pytest.mark.parametrize("seeds", [3, 5])
def test_permuted_labels_of_six_methods_give_a_false_claim_in_at_most_5_percent_of_experiments(seeds: int) -> None:
    rng, alone, together = np.random.default_rng(13), 0, 0
    for _ in range(DRAWS):
        estimates = permuted(rng, arms=6, seeds=seeds)
        evidence = weigh(dict(enumerate(estimates)))
        alone += any(clear(estimate) for estimate in estimates)
        together += any(clear(estimate) and evidence[i].holds for i, estimate in enumerate(estimates))
    assert together / DRAWS <= 0.05
    assert alone / DRAWS > 0.10


def test_an_interval_that_leaves_out_zero_has_p_below_5_percent() -> None:
    rng = np.random.default_rng(17)
    samples = [dict(enumerate(np.exp(rng.normal(0.05, 0.05, n)))) for n in (3, 4, 5, 8) for _ in range(200)]
    estimates = [paired_saving(sample, dict.fromkeys(sample, 1.0)) for sample in samples]
    cleared = [estimate for estimate in estimates if clear(estimate)]
    assert len(cleared) > 100
    assert all(estimate.p is not None and estimate.p < 0.05 for estimate in cleared)


def test_the_t_interval_and_the_p_value_agree_at_three_seeds() -> None:
    rng = np.random.default_rng(19)
    for _ in range(200):
        estimate = paired_difference(dict(enumerate(rng.normal(0.1, 0.05, 3))), dict.fromkeys(range(3), 0.0))
        assert estimate.p is not None
        assert clear(estimate) == (estimate.p < 0.05)


def test_holm_multiplies_the_least_p_by_all_and_the_next_by_one_less() -> None:
    assert holm({"a": 0.03, "b": 0.01, "c": 0.9}) == pytest.approx({"b": 0.03, "a": 0.06, "c": 0.9})


def test_holm_never_ranks_a_weaker_p_above_a_stronger_one() -> None:
    assert holm({"a": 0.02, "b": 0.021}) == pytest.approx({"a": 0.04, "b": 0.04})


def test_holm_alone_changes_nothing() -> None:
    assert holm({"a": 0.04}) == {"a": 0.04}


def test_a_method_that_could_not_be_tested_still_counts_among_those_judged() -> None:
    tested = Estimate(0.2, 3, interval([0.1, 0.2, 0.3]), p=0.03, spread=0.1)
    evidence = weigh({"EST": tested, "censored": Estimate(0.2, 3, bound="at most")})
    assert (evidence["EST"].corrected, evidence["EST"].holds) == (0.06, False)


def spread_of(n: int, spread: float, mean: float) -> Estimate:
    """A saving whose log ratios have exactly this mean and spread."""
    shape = np.linspace(-1, 1, n)
    logs = mean + spread * (shape - shape.mean()) / shape.std(ddof=1)
    return paired_saving(dict(enumerate(np.exp(logs))), dict.fromkeys(range(n), 1.0))


@pytest.mark.parametrize("family", [1, 3])
def test_the_seeds_of_a_hint_see_the_difference_in_80_percent_of_repetitions(family: int) -> None:
    found = hint(spread_of(3, 0.05, -0.04), family)
    assert found is not None
    assert found.seeds is not None
    rng, n = np.random.default_rng(23), 3 + found.seeds
    logs = rng.normal(-0.04, 0.05, (DRAWS, n))
    t = logs.mean(axis=1) / (logs.std(axis=1, ddof=1) / np.sqrt(n))
    seen = (2 * stats.t.sf(-t, n - 1) <= 0.05 / family).mean()
    assert 0.77 <= seen <= 0.90


def test_more_seeds_are_needed_for_a_smaller_difference_and_for_a_larger_family() -> None:
    wide, narrow = hint(spread_of(5, 0.05, -0.04)), hint(spread_of(5, 0.05, -0.02))
    strict = hint(spread_of(5, 0.05, -0.04), family=4)
    seeds = [found.seeds for found in (wide, strict, narrow) if found and found.seeds]
    assert len(seeds) == 3
    assert seeds == sorted(set(seeds))


def test_a_difference_below_1_percent_is_not_chased() -> None:
    found = hint(spread_of(5, 0.01, 0.0001))
    assert found is not None
    assert found.difference == 0.01


def test_too_many_seeds_get_no_number() -> None:
    found = hint(spread_of(3, 0.5, -0.01))
    assert found is not None
    assert found.seeds is None


@pytest.mark.parametrize("estimate", [Estimate(None, 0), Estimate(0.3, 3, bound="at most"), Estimate(0.3, 3)])
def test_no_spread_gives_no_hint(estimate: Estimate) -> None:
    assert hint(estimate) is None


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


@pytest.mark.parametrize(
    ("ours", "theirs", "bound"),
    [("missed", "reached", "at most"), ("reached", "early", "at most"), ("early", "reached", "at least"),
     ("reached", "missed", "at least"), ("early", "early", "")],
)  # fmt: skip
def test_a_seed_that_was_not_seen_crossing_bounds_the_saving_on_its_own_side(
    ours: Literal["reached", "early", "missed"], theirs: Literal["reached", "early", "missed"], bound: str
) -> None:
    """A cost that could be higher flatters, one that could be lower hides."""
    sides = [{seed: Reach(cost, "reached") for seed in (1, 2)} for cost in (80.0, 100.0)]
    found = saving_at({**sides[0], 3: Reach(80.0, ours)}, {**sides[1], 3: Reach(100.0, theirs)})
    assert found.bound == bound
    assert (found.value is None) == (bound == "")
    assert found.interval is None
