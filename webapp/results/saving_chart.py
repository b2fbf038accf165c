"""The saving at equal loss as a chart over the target losses; `forest` draws it at one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.curves import Curve, targets
from webapp.results.figures import REMARK, Figure, plain, ribbon
from webapp.results.savings import Finding, at_target, claimed_ratios
from webapp.results.statistics import Estimate

SHARES = tuple(float(share) for share in np.linspace(1, 0.15, 18))
"""Where the saving is drawn: at the baseline's losses at these shares of its cost."""
TICKS = (
    (2.5, (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 2, 2.5)),
    (1e3, tuple(float(f"{lead}e{power}") for power in range(-4, 5) for lead in (1, 2, 5))),
)
"""Ticks of an axis of cost ratios, by how far at most its ends are from 1; beyond, powers of ten."""


def saving_at_equal_loss(comparison: Comparison, found: Sequence[Finding], unit: Unit) -> Figure:
    """Cost relative to the baseline against the target loss: below 1 saves. Drawn where every seed got there."""
    baseline = comparison.baseline
    theirs = baseline.curves(unit) if baseline else {}
    goals = sorted({goal.loss for goal in targets(list(theirs.values()), SHARES)}, reverse=True)
    fair = [finding for finding in found if finding.matched]
    traces: list[dict[str, Any]] = []
    drawn: list[float | None] = [*_claims(fair, unit)]
    shown = 0
    for finding in fair:
        ours = finding.arm.curves(unit)
        pairs = [(goal, at_target(ours, theirs, goal)) for goal in goals]
        exact = [(goal, estimate) for goal, estimate in pairs if estimate.value is not None and not estimate.bound]
        shown += len(exact)
        traces += _ratio(finding.arm, exact)
    drawn += [ratio for trace in traces for ratio in trace["y"]]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "target validation loss (harder to the right)"}, "range": _reversed(goals)},
        "yaxis": {**ratio_axis(drawn), "title": {"text": f"{unit.of(comparison.counted)} ÷ baseline, log"}},
        "shapes": [level("y", 1.0, "solid"), *(level("y", ratio, "dash") for ratio in _claims(fair, unit))],
        "annotations": [_claim_label(ratio, place) for place, ratio in enumerate(_claims(fair, unit))],
        "hovermode": "closest",
    }
    for place, (finding, limit) in enumerate(_unreached(fair, theirs, goals)):
        layout["shapes"].append(_shade(limit, goals[-1]))
        layout["annotations"].append(_shade_label(finding.arm, goals[-1], place))
    told = [f"{finding.arm.label}: {notation.saving(finding.headline[1])}" for finding in fair if finding.headline]
    told += [f"{finding.arm.label}: withheld, unmatched" for finding in found if not finding.matched]
    summary = f"Cost to reach a loss, relative to the baseline. Saving at its final loss: {'; '.join(told) or 'none'}."
    return Figure({"data": traces, "layout": layout}, summary, shown, shown)


def _reversed(goals: Sequence[float]) -> list[float] | None:
    """From the easiest to the hardest loss, with room for the marks at the ends."""
    if len(goals) < 2:
        return None
    room = 0.03 * (goals[0] - goals[-1])
    return [goals[0] + room, goals[-1] - room]


def ratio_axis(drawn: Sequence[float | None]) -> dict[str, Any]:
    """A log axis that holds 1 and all these cost ratios, with no more ticks than its length has room for.

    Intervals of few seeds may reach anywhere; a ratio beyond a million is cut off.
    """
    known = np.clip([1.0, *(ratio for ratio in drawn if ratio is not None)], 1e-6, 1e6)
    low, high = float(known.min()), float(known.max())
    tens = tuple(10.0**power for power in range(-9, 10))
    ticks = next((ticks for far, ticks in TICKS if low * far >= 1 and high <= far), tens)
    room = max(0.05 * np.log10(high / low), 0.02)
    return {
        "type": "log",
        "range": [float(np.log10(low) - room), float(np.log10(high) + room)],
        "tickvals": list(ticks),
        "ticktext": [f"{ratio:g}" for ratio in ticks],
    }


def _ratio(arm: ArmResult, pairs: list[tuple[float, Estimate]]) -> list[dict[str, Any]]:
    if not pairs:
        return []
    goals = np.array([goal for goal, _ in pairs])
    text = [f"{escape(arm.label)} at {goal:.3f}, saving: {notation.saving(estimate)}" for goal, estimate in pairs]
    ratios = np.array([1 - (estimate.value or 0.0) for _, estimate in pairs])
    line = {
        "x": plain(goals),
        "y": plain(ratios),
        "name": f"{arm.label} (n = {pairs[-1][1].n})",
        "meta": {"arm": arm.index, "role": "mean"},
        "mode": "lines+markers",
        "marker": {"size": 5},
        "text": text,
        "hoverinfo": "text",
    }
    spans = [estimate.interval for _, estimate in pairs]
    if any(span is None for span in spans):
        return [line]
    low = np.array([1 - span.high for span in spans if span])
    high = np.array([1 - span.low for span in spans if span])
    return [ribbon(arm, goals, low, high), line]


def _unreached(
    found: Sequence[Finding], theirs: Mapping[int, Curve], goals: Sequence[float]
) -> list[tuple[Finding, float]]:
    """Arms with a seed that stopped above the hardest target, and the loss it stopped at (the easiest one at most)."""
    ends = []
    for finding in found:
        ours = finding.arm.curves(finding.unit)
        best = [float(ours[seed].best[-1]) for seed in ours.keys() & theirs.keys()]
        if goals and best and not max(best) <= goals[-1]:
            ends.append((finding, min(float(np.nan_to_num(max(best), nan=goals[0])), goals[0])))
    return ends


def _claims(found: Sequence[Finding], unit: Unit) -> list[float]:
    """The papers' cost ratios; they speak of FLOPs only."""
    ratios = {ratio for finding in found for ratio, _ in claimed_ratios(finding.arm)}
    return sorted(ratios) if unit in (Unit.EXECUTED, Unit.EFFECTIVE) else []


def level(axis: str, ratio: float, dash: str) -> dict[str, Any]:
    """A line across the whole chart at a ratio on this axis."""
    line = {"color": "--ink" if dash == "solid" else "--ink-2", "width": 1, "dash": dash}
    other = "x" if axis == "y" else "y"
    across = {f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1}
    return {"type": "line", **across, f"{axis}0": ratio, f"{axis}1": ratio, "line": line}


def _claim_label(ratio: float, place: int) -> dict[str, Any]:
    """At the left and the right end in turn, so that near claims do not cover each other."""
    side = {"x": place % 2, "xanchor": "right" if place % 2 else "left"}
    where = {"xref": "paper", **side, "y": float(np.log10(ratio)), "yanchor": "bottom"}
    return {**where, **REMARK, "text": f"claimed {ratio:.3f}"}


def _shade(start: float, end: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": start,
        "x1": end,
        "fillcolor": "--line",
        "opacity": 0.45,
        "line": {"width": 0},
        "layer": "below",
    }


def _shade_label(arm: ArmResult, end: float, place: int) -> dict[str, Any]:
    where = {"x": end, "xanchor": "right", "yref": "paper", "y": 0.98 - 0.07 * place, "yanchor": "top"}
    return {**where, **REMARK, "text": f"not reached by all seeds: {escape(arm.label)}"}
