"""What the D-CPT law must keep, on losses made from a known one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from training.studies.dcpt import domains, questions
from training.studies.dcpt.domains import DomainLaw, Measured, Probe
from training.studies.dcpt.law import Law, Points, fit
from training.studies.dcpt.quality import INNER, By, Fit, judged, r2, violations

TRUTH = Law(E=1.2, A=0.02, B=0.012, C=0.6, alpha=0.35, beta=0.3, gamma=0.4, eta=0.6, epsilon=0.1)
SIZES = (1e-4, 3.4e-4, 1.2e-3)
TOKENS = tuple(np.arange(1, 11) * 3e-5)
RATIOS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHARES = (0.0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1.0)


def losses(
    law: Law = TRUTH,
    *,
    noise: float = 0.003,
    tokens: tuple[float, ...] = TOKENS,
    ratios: tuple[float, ...] = RATIOS,
    seed: int = 0,
) -> Points:
    """The law's losses on the grid, with multiplied noise."""
    n, d, r = (np.array(column) for column in zip(*product(SIZES, tokens, ratios), strict=True))
    loud = np.exp(noise * np.random.default_rng(seed).standard_normal(n.size))
    return Points(n, d, r, law.loss(n, d, r) * loud)


def predicted(law: Law, points: Points) -> np.ndarray:
    return law.loss(points.size, points.tokens, points.ratio)


@pytest.fixture(scope="module")
def known() -> Fit:
    """Of a small grid: 3 sizes, 5 shares, 10 evaluations."""
    return judged(losses())


@pytest.fixture(scope="module")
def full() -> Fit:
    """Of a grid as large as the paper's: 3 sizes, 9 shares, 20 evaluations."""
    return judged(losses(tokens=tuple(np.arange(1, 21) * 2.6e-5), ratios=SHARES), starts=8)


def test_it_explains_the_losses_of_a_known_law(known: Fit, full: Fit) -> None:
    for found in (known, full):
        assert found.r2 is not None
        assert found.r2 >= 0.995
        assert found.max_relative_error < 0.015


@pytest.mark.parametrize("by", ["size", "tokens", "ratio"])
def test_it_predicts_what_was_left_out(known: Fit, full: Fit, by: By) -> None:
    """With five shares, leaving out that of 0 is a long way to extrapolate: less is asked of it."""
    for found, least in ((known, 0.9), (full, 0.97)):
        pooled = found.pooled(by)
        assert pooled is not None
        assert pooled.points == found.points
        assert pooled.r2 is not None
        assert pooled.r2 >= least


def test_what_lies_between_others_is_told_apart_from_the_ends(known: Fit) -> None:
    """The ends are extrapolated, the share of 0 furthest."""
    shares = {fold.left_out: fold for fold in known.held_out if fold.by == "ratio"}
    inner = shares[INNER]
    assert inner.points == sum(shares[f"{share:g}"].points for share in sorted(set(RATIOS))[1:-1])
    assert inner.max_relative_error < shares["0"].max_relative_error
    assert inner.r2 is not None
    assert inner.r2 >= 0.97


def test_the_largest_size_is_ranked_from_the_smaller_ones(known: Fit) -> None:
    (largest,) = (fold for fold in known.held_out if fold.by == "size" and fold.left_out == "1.2e+06")
    assert largest.rank is not None
    assert largest.rank >= 0.9


def test_noise_for_losses_is_not_predicted() -> None:
    points = losses()
    scrambled = Points(points.size, points.tokens, points.ratio, np.random.default_rng(0).permutation(points.loss))
    pooled = judged(scrambled, starts=2).pooled("ratio")
    assert pooled is not None
    assert pooled.r2 is not None
    assert pooled.r2 < 0.2


def test_shares_of_none_and_of_all_have_a_finite_loss() -> None:
    for law in (TRUTH, fit(losses())):
        assert np.isfinite(law.loss(1e-3, 1e-3, np.array([0.0, 1.0]))).all()


def test_loss_falls_with_size_tokens_and_faster_with_more_of_a_corpus() -> None:
    n, d, r = (np.array(column) for column in zip(*product(SIZES, TOKENS, RATIOS[1:]), strict=True))
    law, h = fit(losses()), 1e-5
    assert (law.by_size(n) < 0).all()
    assert (law.by_tokens(d, r) < 0).all()
    assert (law.by_tokens_and_ratio(d, r) < 0).all()
    assert law.by_size(n) == pytest.approx((law.loss(n * (1 + h), d, r) - law.loss(n * (1 - h), d, r)) / (2 * h * n))
    by_tokens = (law.loss(n, d * (1 + h), r) - law.loss(n, d * (1 - h), r)) / (2 * h * d)
    assert law.by_tokens(d, r) == pytest.approx(by_tokens, rel=1e-5)
    by_ratio = (law.loss(n, d, r * (1 + h)) - law.loss(n, d, r * (1 - h))) / (2 * h * r)
    assert law.by_ratio(d, r) == pytest.approx(by_ratio, rel=1e-5)
    mixed = (law.by_tokens(d, r * (1 + h)) - law.by_tokens(d, r * (1 - h))) / (2 * h * r)
    assert law.by_tokens_and_ratio(d, r) == pytest.approx(mixed, rel=1e-5)


def test_a_law_that_rises_with_its_share_is_marked() -> None:
    points = losses()
    assert violations(TRUTH, points) == ()
    rising = TRUTH.model_copy(update={"C": 1e-3, "B": 0.05})
    marked = violations(rising, points)
    assert {share for _, _, share in marked} == set(RATIOS)
    assert {size for size, _, _ in marked} == set(SIZES)


def test_a_fixed_share_is_the_form_of_chinchilla() -> None:
    law, (n, d) = fit(losses()), (np.array(SIZES), np.array(TOKENS[:3]))
    for share in RATIOS:
        assert law.at(share).loss(n, d) == pytest.approx(law.loss(n, d, share), rel=1e-12)


def test_units_change_the_two_coefficients_and_no_prediction() -> None:
    points = losses()
    ours, theirs = fit(points), fit(Points(points.size * 1e3, points.tokens * 1e6, points.ratio, points.loss))
    assert theirs.loss(points.size * 1e3, points.tokens * 1e6, points.ratio) == pytest.approx(predicted(ours, points))
    scales = [theirs.A / ours.A, theirs.B / ours.B, theirs.alpha / ours.alpha, theirs.C / ours.C]
    assert scales == pytest.approx([1e3**ours.alpha, 1e6**ours.beta, 1, 1], rel=1e-3)


def test_neither_the_order_of_rows_nor_the_starts_matter() -> None:
    points = losses()
    place = np.random.default_rng(5).permutation(len(points))
    shuffled = Points(points.size[place], points.tokens[place], points.ratio[place], points.loss[place])
    ours = predicted(fit(points), points)
    assert (predicted(fit(shuffled), points) == ours).all()
    assert predicted(fit(points, seed=7), points) == pytest.approx(ours, rel=1e-3)


def test_the_share_earns_its_parameters_and_no_more_where_it_does_nothing(known: Fit) -> None:
    flat = TRUTH.model_copy(update={"B": 0.0, "C": 0.0, "E": 1.9})
    assert known.aic < known.aic_chinchilla - 100
    useless = judged(losses(flat), starts=2)
    assert useless.aic > useless.aic_chinchilla - 10


def test_a_measured_table_of_the_paper_crosses_its_limit_where_the_paper_says() -> None:
    """Chemistry, 1.8B, 10B tokens: the general losses, the domain losses and the limit of 3 % are the paper's."""
    shares = [0.90, 0.91, 0.92, 0.924, 0.93, 0.94, 1.0]
    general = [2.9052, 2.9193, 2.9376, 2.9445, 2.9644, 2.9848, 3.4667]
    domain = [1.7321, 1.7312, 1.7311, 1.7291, 1.7279, 1.7265, 1.7220]
    found = questions.trade_off(
        lambda r: float(np.interp(r, shares, domain)),
        lambda r: float(np.interp(r, shares, general)),
        before=2.8602,
        limit=0.03,
    )
    assert found.ratio == pytest.approx(0.9245, abs=1e-4)
    assert found.rise == pytest.approx(0.03)


def test_the_trade_off_takes_the_largest_share_allowed_or_says_that_there_is_none() -> None:
    before = float(TRUTH.loss(1e-3, 3e-4, 0.7))

    def asked(limit: float) -> questions.Mixture:
        return questions.trade_off(
            lambda r: float(TRUTH.loss(1e-3, 3e-4, r)),
            lambda r: float(TRUTH.loss(1e-3, 3e-4, 1 - r)),
            before=before,
            limit=limit,
        )

    found = asked(0.05)
    assert found.rise == pytest.approx(0.05)
    assert 0.3 < found.ratio < 1
    assert asked(0.06).ratio > found.ratio
    assert asked(10.0).ratio == 1.0
    with pytest.raises(questions.Infeasible, match="rises by"):
        asked(-0.5)


def test_scarce_text_is_never_stretched_beyond_the_general_text() -> None:
    law = TRUTH.model_copy(update={"eta": 0.05, "beta": 0.8})
    plenty = questions.scarce(law, size=1e-3, domain_tokens=1e-5, general_tokens=1.0)
    little = questions.scarce(law, size=1e-3, domain_tokens=1e-5, general_tokens=1e-5)
    nothing = questions.scarce(law, size=1e-3, domain_tokens=1e-5, general_tokens=0.0)
    assert plenty.ratio < 0.5
    assert little.general_tokens <= 1e-5 * (1 + 1e-9)
    assert little.tokens == pytest.approx(2e-5)
    assert (nothing.ratio, nothing.general_tokens) == (1.0, 0.0)
    dense = np.linspace(0.001, 1, 5000)
    assert plenty.domain <= law.loss(1e-3, 1e-5 / dense, dense).min() + 1e-6


def test_a_budget_is_spent_on_the_best_size() -> None:
    found = questions.compute(TRUTH, flops=1e15, ratio=0.5)
    sizes = found.size * np.geomspace(0.1, 10, 2001)
    tried = TRUTH.loss(sizes, 1e15 / 6 / 1e18 / sizes, 0.5)
    assert 6 * found.size * found.tokens * 1e18 == pytest.approx(1e15)
    assert found.loss == pytest.approx(tried.min(), rel=1e-6)
    with pytest.raises(questions.Infeasible, match="no size is the best"):
        questions.compute(TRUTH, flops=1e15, ratio=0.0)


def test_a_new_domain_is_predicted_from_a_probe() -> None:
    """One domain is left out; the law across the others, told its two numbers, beats a law without them."""
    true = DomainLaw(law=TRUTH, F=0.9, mu=1.2, w1=2.0, w2=0.05)
    probes = [Probe(k1=k1, k2=k2) for k1, k2 in ((2.2, 4.0), (2.9, 14.0), (3.4, 6.0), (3.9, 20.0), (5.0, 5.0))]
    measured = {str(place): Measured(probe, losses(true.of(probe), seed=place)) for place, probe in enumerate(probes)}
    new = measured.pop("4")
    told = domains.fit(measured, starts=12).of(new.probe)
    blind = fit(domains.joined([one.points for one in measured.values()]))
    assert (r2(predicted(told, new.points), new.points.loss) or 0) > 0.97
    assert (r2(predicted(blind, new.points), new.points.loss) or 1) < 0.8
