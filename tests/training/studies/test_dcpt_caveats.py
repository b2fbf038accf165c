"""What the D-CPT study says of laws that cannot be trusted, and of losses that leave nothing to explain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.studies.test_dcpt_law import TRUTH, losses
from training.studies.dcpt.caveats import of_grid, of_law
from training.studies.dcpt.finding import Costs, DcptFinding, Observation
from training.studies.dcpt.law import LEAST, OFFSETS, Points
from training.studies.dcpt.quality import Fit, bounded, judged


@pytest.fixture(scope="module")
def flat() -> Fit:
    """Of a grid whose losses at one share are all equal."""
    points = losses(tokens=(1e-4, 2e-4, 3e-4), ratios=(0.0, 0.5, 1.0))
    return judged(replace(points, loss=np.where(points.ratio == 0, 3.0, points.loss)), starts=2)


def test_equal_losses_of_a_fold_have_no_r2(flat: Fit) -> None:
    shares = {fold.left_out: fold.r2 for fold in flat.held_out if fold.by == "ratio"}
    assert shares["0"] is None
    assert shares["0.5"] is not None


def test_a_fit_with_a_fold_of_equal_losses_survives_storage(flat: Fit) -> None:
    assert Fit.model_validate_json(flat.model_dump_json()) == flat


def test_a_grid_of_equal_losses_is_judged_and_told() -> None:
    points = losses(tokens=(1e-4, 2e-4, 3e-4), ratios=(0.0, 0.5, 1.0))
    found = judged(replace(points, loss=np.full_like(points.loss, 2.7)), starts=1)
    assert found.r2 is None
    assert "All general losses are equal: their law tells nothing." in of_law("general", found)


def test_a_law_that_misses_its_own_points_is_told(flat: Fit) -> None:
    told = of_law("domain", flat.model_copy(update={"r2": 0.4}))
    assert "The domain law does not describe its own points: R2 is 0.40." in told
    assert "own points" not in " ".join(of_law("domain", flat.model_copy(update={"r2": 0.95})))


def test_a_parameter_at_an_end_of_the_fit_is_named() -> None:
    points = losses()
    assert bounded(TRUTH, points) == ()
    assert bounded(TRUTH.model_copy(update={"epsilon": OFFSETS[0], "E": LEAST}), points) == ("E", "epsilon")


def test_a_coefficient_ends_where_the_middle_of_the_data_has_it() -> None:
    """A is fitted in units of the geometric mean of sizes, not of 10^9 parameters."""
    points = Points(np.array([1e-4, 1e-2]), np.array([1e-3, 1e-3]), np.array([0.5, 0.5]), np.array([2.0, 3.0]))
    assert bounded(TRUTH.model_copy(update={"A": LEAST * 1e-3**TRUTH.alpha}), points) == ("A",)


def test_a_parameter_at_its_bound_is_told(flat: Fit) -> None:
    told = of_law("general", flat.model_copy(update={"bounded": ("gamma", "epsilon")}))
    assert "The general law ends at a bound of the fit in gamma, epsilon, untold by the points." in told


@pytest.mark.parametrize(("shares", "told"), [(3, True), (4, False)])
def test_fewer_than_four_shares_are_told(shares: int, told: bool) -> None:
    assert ("Three shares" in " ".join(of_grid(grid(shares)))) is told


def grid(shares: int) -> DcptFinding:
    seen = tuple(
        Observation(run="x", size=size, tokens=1, domain_share=share / 10, general=1, domain=1)
        for size in (1, 2, 3)
        for share in range(shares)
    )
    nothing = {"runs": 1, "failures": (), "missing": "", "warnings": (), "general": None, "domain": None}
    return DcptFinding.model_validate(
        nothing
        | {"observations": seen, "bases": (), "probe": None, "checks": ()}
        | {"costs": Costs(mixtures=1, bases=1, evaluations=1, seconds=1)}
    )
