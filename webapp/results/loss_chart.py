"""Validation loss against cost: thin seeds, a strong mean, its band; and the table twin, a row per run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.curves import Curve, Floats, band, thinned
from webapp.results.figures import Figure, cost_ticks, plain, ribbon
from webapp.results.tables import Table

BUDGET = 2_000
"""Points of seeds that a chart shows in all, so that it draws within a frame or two."""
MOST, FEWEST = 1_000, 16
"""Points of one seed, whatever the budget says."""
LINES, PER_ARM = 48, 3
"""Seeds drawn one by one in all, and of an arm at least: more lie on top of each other, and each costs the frame."""


def loss_vs_cost(comparison: Comparison, unit: Unit) -> Figure:
    """One trace per arm holds its seeds, with gaps; mean and 95 % band lie on a common cost grid."""
    every = {arm.code: [curve for run in arm.runs if (curve := run.curve(unit)) is not None] for arm in comparison.arms}
    chosen = {code: _spread(curves, _lines(comparison)) for code, curves in every.items()}
    limit = min(MOST, max(FEWEST, BUDGET // max(sum(map(len, chosen.values())), 1)))
    drawn = {code: [thinned(curve, limit) for curve in curves] for code, curves in chosen.items()}
    traces = [trace for arm in comparison.arms for trace in _arm(arm, drawn[arm.code], unit)]
    layout = {
        "xaxis": {"type": "log", "title": {"text": f"{unit.of(comparison.counted)}, log"}, **cost_ticks(unit)},
        "yaxis": {"title": {"text": f"validation loss (nats per {comparison.counted})"}},
        "hovermode": "closest",
    }
    ends = [f"{arm.label} ends at {notation.loss(arm.final_loss)}" for arm in comparison.arms if arm.final_loss]
    summary = f"Validation loss against {unit.of(comparison.counted)}. {'; '.join(ends) or 'No run has finished yet'}."
    return Figure({"data": traces, "layout": layout}, summary, _points(drawn.values()), _points(every.values()))


def note(comparison: Comparison) -> str:
    """What the lines are, and of how many."""
    most, largest = _lines(comparison), max((len(arm.runs) for arm in comparison.arms), default=0)
    seeds = "seeds, running ones too"
    if largest > most:
        seeds = f"{most} seeds of an arm that has more, evenly from its lowest last loss to its highest"
    return f"Thin: {seeds}. Strong: mean of all finished, from 3 on with its 95% band (t)."


def _lines(comparison: Comparison) -> int:
    """How many seeds of an arm are drawn one by one."""
    return max(PER_ARM, LINES // max(len(comparison.arms), 1))


def _spread(curves: Sequence[Curve], most: int) -> list[Curve]:
    """All of them, or so many in even steps of their last loss, the lowest and the highest among them."""
    if len(curves) <= most:
        return list(curves)
    ranked = sorted(curves, key=lambda curve: float(np.nan_to_num(curve.losses[-1], nan=np.inf)))
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, most).round().astype(int)]


def in_words(comparison: Comparison) -> Table:
    """What the curves come to; the exports hold every evaluation."""
    rows = [
        (arm.label, run.seed, len(run.evaluations), _lowest(run.curve(Unit.STEPS)), run.final_loss,
         run.evaluations[-1].executed, run.evaluations[-1].steps)
        for arm in comparison.arms
        for run in arm.finished
        if run.evaluations
    ]  # fmt: skip
    headings = ("arm", "seed", "evaluations", "lowest loss", "final loss", "executed FLOPs", "steps")
    return Table("Finished runs; the exports hold every evaluation", headings, tuple(rows))


def _arm(arm: ArmResult, seeds: list[Curve], unit: Unit) -> list[dict[str, Any]]:
    mean = _mean(arm, list(arm.curves(unit).values()), unit)
    lines = [_seeds(arm, seeds)] if seeds else []
    if lines and not mean:
        open_still = " (running)" if len(arm.finished) < len(arm.runs) else ""
        lines[0] |= {"name": f"{arm.label}{open_still}", "showlegend": True}
    return lines + mean


def _seeds(arm: ArmResult, curves: list[Curve]) -> dict[str, Any]:
    xs, ys = [], []
    for curve in curves:
        positive = curve.costs > 0
        xs += [*plain(curve.costs[positive]), None]
        ys += [*plain(curve.losses[positive]), None]
    return {"x": xs[:-1], "y": ys[:-1], "meta": {"arm": arm.index, "role": "seed"}, "showlegend": False}


def _mean(arm: ArmResult, curves: list[Curve], unit: Unit) -> list[dict[str, Any]]:
    """Mean over seeds, and its band from 3 seeds on."""
    found = band(curves)
    if found is None:
        return []
    label = escape(arm.label)
    pairs = list(zip(found.costs, found.mean, strict=True))
    mean = {
        "x": plain(found.costs),
        "y": plain(found.mean),
        "name": f"{arm.label} (n = {found.n})",
        "meta": {"arm": arm.index, "role": "mean"},
        "text": [f"{label}: {loss:.3f} at {notation.quantity(cost, unit)}" for cost, loss in pairs],
        "hoverinfo": "text",
    }
    if found.half is None:
        return [mean]
    return [ribbon(arm, found.costs, found.mean - found.half, found.mean + found.half), mean]


def _lowest(curve: Curve | None) -> float | None:
    losses: Floats = curve.losses if curve else np.array([])
    return float(np.nanmin(losses)) if np.isfinite(losses).any() else None


def _points(arms: Any) -> int:
    curves: Sequence[Curve] = [curve for found in arms for curve in found]
    return sum(curve.costs.size for curve in curves)
