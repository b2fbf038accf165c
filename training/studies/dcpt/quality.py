"""How far a fitted law can be trusted: on its own points, on points left out, and by its own requirements."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from training.knobs import Strict
from training.studies.dcpt.law import (
    NINE,
    STARTS,
    Floats,
    Law,
    Points,
    fit,
    fit_chinchilla,
    huber,
    limits,
    middle,
    predictions,
)

SECTIONS = 3
"""Parts of the tokens of a run, each left out once; the last one is an extrapolation."""
FOLD_STARTS = 3
"""Random starts of a fit without a fold, and of the plain form: more of them were seen to end in the same minimum."""
FEW = 100
"""Points below which nine parameters are easily too many."""

By = Literal["size", "tokens", "ratio"]
BY: tuple[By, ...] = ("size", "tokens", "ratio")
ALL = "each once"
INNER = "each but the ends once"
"""Names of the rows over all folds of a kind, and over those that lie between others: the ends are extrapolated."""


class HeldOut(Strict):
    """A fit without some points, judged on these alone."""

    by: By
    left_out: str
    points: int
    r2: float | None
    """None where the losses are equal: they have no variance to explain."""
    max_relative_error: float
    rank: float | None
    """Spearman's correlation of predicted and measured losses."""


class Fit(Strict):
    """A law for one corpus and what speaks for and against it. Losses are in nats per token."""

    law: Law
    points: int
    r2: float | None
    """On the losses themselves, not their logarithms; None where they are equal."""
    huber: float
    """Mean over the points, of log residuals at delta = 0.001; not to be compared with the paper's."""
    max_relative_error: float
    condition: float | None
    """Of J'J, J the derivatives of log losses by the logarithms of the nine parameters; None where it is infinite."""
    violated: tuple[tuple[float, float, float], ...]
    """N, D and r of measured points where the fitted loss does not fall with a larger share of its corpus."""
    aic: float
    aic_chinchilla: float
    """Of the five-parameter form that knows no ratio: the law earns its parameters where its own is lower."""
    held_out: tuple[HeldOut, ...]
    bounded: tuple[str, ...] = ()
    """Parameters that stand where the fit ends them: the points alone would have them go on."""

    def pooled(self, by: By) -> HeldOut | None:
        """Every point predicted once, by a fit without its fold; None where there were no two folds."""
        return next((found for found in self.held_out if found.by == by and found.left_out == ALL), None)


def judged(points: Points, *, starts: int = STARTS) -> Fit:
    """Fit a law and judge it; every fold is fitted anew."""
    law, plain = fit(points, starts=starts), fit_chinchilla(points, starts=FOLD_STARTS)
    predicted = law.loss(points.size, points.tokens, points.ratio)
    return Fit(
        law=law,
        points=len(points),
        r2=r2(predicted, points.loss),
        huber=huber(predicted, points.loss),
        max_relative_error=float(np.abs(predicted / points.loss - 1).max()),
        condition=condition(law, points),
        violated=violations(law, points),
        aic=aic(predicted, points.loss, 9),
        aic_chinchilla=aic(plain.loss(points.size, points.tokens), points.loss, 5),
        held_out=tuple(found for by in BY for found in held_out(points, by)),
        bounded=bounded(law, points),
    )


def r2(predicted: Floats, loss: Floats) -> float | None:
    """Share of the variance of the losses that is explained; below zero where their mean would do better.

    None where they have none.
    """
    if np.ptp(loss) == 0:  # their mean may be off by a rounding, so a sum of squares would not tell
        return None
    return 1 - float(((predicted - loss) ** 2).sum()) / float(((loss - loss.mean()) ** 2).sum())


def aic(predicted: Floats, loss: Floats, parameters: int) -> float:
    """Akaike's criterion of log residuals taken as normal."""
    squares = float(((np.log(predicted) - np.log(loss)) ** 2).mean())
    return float(loss.size * np.log(max(squares, 1e-300)) + 2 * parameters)


def condition(law: Law, points: Points) -> float | None:
    """How much better the best-known combination of parameters is known than the worst; None if one is not at all."""
    n, d = middle(points.size), middle(points.tokens)
    centred = Points(points.size / n, points.tokens / d, points.ratio, points.loss)
    predicted, slopes = predictions(np.log([*centred_values(law, points).values()]), centred)
    found = float(np.linalg.cond((slopes / predicted) @ (slopes / predicted).T))
    return found if np.isfinite(found) else None


def centred_values(law: Law, points: Points) -> dict[str, float]:
    """The nine parameters as they are fitted: N and D in units of the middle of the data."""
    n, d = middle(points.size), middle(points.tokens)
    return law.model_dump() | {"A": law.A * n**-law.alpha, "B": law.B * d**-law.beta}


def bounded(law: Law, points: Points) -> tuple[str, ...]:
    """Names of the parameters that stand at an end of what the fit allows them."""
    ends = limits(points.loss)[:NINE]
    values = centred_values(law, points).items()
    return tuple(
        name for (name, value), end in zip(values, ends, strict=True) if np.isclose(value, end, rtol=1e-3, atol=0).any()
    )


def violations(law: Law, points: Points) -> tuple[tuple[float, float, float], ...]:
    """Measured points where dL/dr is not negative.

    At r = 0 the derivative is infinite whenever eta < 1; there the loss is held against that at the next ratio.
    """
    first = float(points.ratio[points.ratio > 0].min(initial=1.0))
    step = law.loss(points.size, points.tokens, first) - law.loss(points.size, points.tokens, 0.0)
    slope = np.where(points.ratio > 0, law.by_ratio(points.tokens, np.maximum(points.ratio, 1e-9)), step)
    rows = np.stack([points.size, points.tokens, points.ratio], axis=1)[slope >= 0]
    return tuple((n, d, r) for n, d, r in np.unique(rows, axis=0).tolist())


def folds(points: Points, by: By) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name of each fold and which points it leaves out: a size, a ratio, or a third of the steps."""
    if by == "tokens":
        edges = np.linspace(points.tokens.min(), points.tokens.max() * (1 + 1e-9), SECTIONS + 1)
        for low, high in pairwise(edges):
            yield f"{low * 1e9:.3g} to {high * 1e9:.3g}", (points.tokens >= low) & (points.tokens < high)
        return
    values = points.size if by == "size" else points.ratio
    for value in np.unique(values):
        name = f"{value * 1e9:.3g}" if by == "size" else f"{value:.3g}"
        yield name, values == value


def held_out(points: Points, by: By) -> Iterator[HeldOut]:
    """Every fold predicted by a fit without it, then all of them together, then those between others.

    Nothing where there are no two folds.
    """
    out = np.full_like(points.loss, np.nan)
    found = [(name, gone) for name, gone in folds(points, by) if gone.any()]
    if len(found) < 2:
        return
    for name, gone in found:
        rest, left = points.where(~gone), points.where(gone)
        out[gone] = fit(rest, starts=FOLD_STARTS).loss(left.size, left.tokens, left.ratio)
        yield _against(by, name, out[gone], left.loss)
    yield _against(by, ALL, out, points.loss)
    if inner := [gone for _, gone in found[1:-1]]:
        between = np.logical_or.reduce(inner)
        yield _against(by, INNER, out[between], points.loss[between])


def _against(by: By, name: str, predicted: Floats, loss: Floats) -> HeldOut:
    known = loss.size > 2 and np.ptp(predicted) > 0 and np.ptp(loss) > 0
    return HeldOut(
        by=by,
        left_out=name,
        points=loss.size,
        r2=r2(predicted, loss),
        max_relative_error=float(np.abs(predicted / loss - 1).max()),
        rank=float(spearmanr(predicted, loss).statistic) if known else None,
    )
