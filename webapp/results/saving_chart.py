"""The saving at equal loss as two charts: over the target losses, and as a forest plot at the headline target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.curves import Curve, targets
from webapp.results.figures import Figure, plain, ribbon
from webapp.results.savings import Finding, at_target, claimed_ratios
from webapp.results.statistics import Estimate
from webapp.results.tables import Cell, Table

SHARES = tuple(float(share) for share in np.linspace(1, 0.15, 35))
"""Where the saving is drawn: at the baseline's losses at these shares of its cost."""
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 2, 3, 5, 10)
"""Ticks of a cost ratio."""
SPARSE = (0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.6, 2, 3, 5, 10)
"""The same for a narrow chart."""


def saving_at_equal_loss(comparison: Comparison, found: Sequence[Finding], unit: Unit) -> Figure:
    """Cost relative to the baseline against the target loss: below 1 saves. Drawn where every seed got there."""
    baseline = comparison.baseline
    theirs = baseline.curves(unit) if baseline else {}
    goals = sorted({goal.loss for goal in targets(list(theirs.values()), SHARES)}, reverse=True)
    fair = [finding for finding in found if finding.matched]
    traces: list[dict[str, Any]] = []
    shown = 0
    for finding in fair:
        ours = finding.arm.curves(unit)
        pairs = [(goal, at_target(ours, theirs, goal)) for goal in goals]
        exact = [(goal, estimate) for goal, estimate in pairs if estimate.value is not None and not estimate.bound]
        shown += len(exact)
        traces += _ratio(finding.arm, exact)
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "target validation loss (harder to the right)"}, "range": _reversed(goals)},
        "yaxis": {**_ratios(RATIOS), "title": {"text": f"{unit.label} ÷ baseline, log"}},
        "shapes": [_level("y", 1.0, "solid"), *(_level("y", ratio, "dash") for ratio in _claims(fair, unit))],
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


def _ratios(ticks: Sequence[float]) -> dict[str, Any]:
    return {"type": "log", "tickvals": list(ticks), "ticktext": [f"{ratio:g}" for ratio in ticks]}


def _ratio(arm: ArmResult, pairs: list[tuple[float, Estimate]]) -> list[dict[str, Any]]:
    if not pairs:
        return []
    goals = np.array([goal for goal, _ in pairs])
    text = [f"{escape(arm.label)} at {goal:.3f}: saves {notation.saving(estimate)}" for goal, estimate in pairs]
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


def _level(axis: str, ratio: float, dash: str) -> dict[str, Any]:
    """A line across the whole chart at a ratio on this axis."""
    line = {"color": "--ink" if dash == "solid" else "--ink-2", "width": 1, "dash": dash}
    other = "x" if axis == "y" else "y"
    across = {f"{other}ref": "paper", f"{other}0": 0, f"{other}1": 1}
    return {"type": "line", **across, f"{axis}0": ratio, f"{axis}1": ratio, "line": line}


def _claim_label(ratio: float, place: int) -> dict[str, Any]:
    """At the left and the right end in turn, so that near claims do not cover each other."""
    side = {"x": place % 2, "xanchor": "right" if place % 2 else "left"}
    where = {"xref": "paper", **side, "y": float(np.log10(ratio)), "yanchor": "bottom"}
    return {**where, "text": f"claimed {ratio:.3f}", "showarrow": False, "font": {"size": 11, "color": "--ink-2"}}


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
    text = f"not reached by all seeds: {escape(arm.label)}"
    return {**where, "text": text, "showarrow": False, "font": {"size": 11, "color": "--ink-2"}}


def forest(found: Sequence[Finding], unit: Unit) -> Figure:
    """One row per arm at the headline target, the cheapest first; a row without a figure says why."""
    rows = sorted(found, key=_ratio_of)
    traces = [_row(finding, place) for place, finding in enumerate(rows) if _exact(finding)]
    labels = [f"{escape(finding.arm.label)}<br>n = {_seeds(finding)}" for finding in rows]
    layout = {
        "xaxis": {**_ratios(SPARSE), "title": {"text": f"{unit.label} ÷ baseline, log"}},
        "yaxis": {
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": labels,
            "showgrid": False,
        },
        "showlegend": False,
        "hovermode": "closest",
        "shapes": [_level("x", 1.0, "solid")],
        "annotations": [_instead(finding, place) for place, finding in enumerate(rows) if not _exact(finding)],
    }
    told = "; ".join(f"{finding.arm.label}: {_words(finding)}" for finding in rows)
    return Figure({"data": traces, "layout": layout}, f"Saving at the baseline's final loss. {told or 'No arms'}.")


def _exact(finding: Finding) -> Estimate | None:
    estimate = finding.headline[1] if finding.headline else None
    return estimate if estimate and estimate.value is not None and not estimate.bound else None


def _ratio_of(finding: Finding) -> float:
    estimate = _exact(finding)
    return 1 - (estimate.value or 0.0) if estimate else float("inf")


def _seeds(finding: Finding) -> int:
    return finding.headline[1].n if finding.headline else len(finding.arm.finished)


def _words(finding: Finding) -> str:
    return notation.saving(finding.headline[1]) if finding.headline else f"{notation.WITHHELD}, unmatched"


def _row(finding: Finding, place: int) -> dict[str, Any]:
    ratio, estimate = _ratio_of(finding), _exact(finding)
    span = estimate.interval if estimate else None
    bars = {"array": [1 - span.low - ratio], "arrayminus": [ratio - 1 + span.high]} if span else {"array": [0.0]}
    return {
        "x": [float(f"{ratio:.6g}")],
        "y": [place],
        "name": finding.arm.label,
        "meta": {"arm": finding.arm.index, "role": "point"},
        "error_x": {"type": "data", "symmetric": span is None, **bars},
        "text": [f"{escape(finding.arm.label)}: saves {_words(finding)}"],
        "hoverinfo": "text",
    }


def _instead(finding: Finding, place: int) -> dict[str, Any]:
    where = {"xref": "paper", "x": 0.5, "y": place, "bgcolor": "--card"}
    text = escape(_words(finding)).replace(": ", ":<br>", 1)
    return {**where, "text": text, "showarrow": False, "font": {"size": 11, "color": "--ink-2"}}


def forest_in_numbers(found: Sequence[Finding]) -> Table:
    """The twin of the forest plot, with what the verdict rests on."""
    headings = ("arm", "cost ratio", "low", "high", "n", "p", "p corrected (Holm)", "methods judged", "verdict", "note")
    rows = [_forest_row(finding) for finding in sorted(found, key=_ratio_of)]
    unit = found[0].unit.label if found else ""
    return Table(f"Cost ratio in {unit} at the baseline's final loss", headings, tuple(rows))


def _forest_row(finding: Finding) -> tuple[Cell, ...]:
    estimate, evidence = _exact(finding), finding.evidence
    span = estimate.interval if estimate else None
    ends = (1 - span.high, 1 - span.low) if span else (None, None)
    ratios = (_ratio_of(finding), *ends) if estimate else (None, None, None)
    weighed = (evidence.p, evidence.corrected, evidence.family) if estimate and evidence else (None, None, None)
    verdict = "reference" if finding.arm.is_dense and finding.matched else finding.judgement.verdict.value
    note = "; ".join(finding.judgement.reasons)
    return (finding.arm.label, *ratios, _seeds(finding), *weighed, verdict, note)
