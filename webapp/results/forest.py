"""The saving at one target loss as a forest plot: a row per method, its interval as a bar, its paper's claim dashed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import Any

from webapp.results import notation
from webapp.results.ask import Goal
from webapp.results.comparison import Unit, counted
from webapp.results.figures import REMARK, Figure
from webapp.results.saving_chart import level, ratio_axis
from webapp.results.savings import Finding, claimed_ratios
from webapp.results.statistics import Estimate
from webapp.results.tables import Cell, Table

NARROW = 34
"""Characters of a line that takes the place of a point."""
HALF = 0.36
"""Half the height of a claim's line, in rows."""


def chart(found: Sequence[Finding], unit: Unit, goal: Goal = Goal.FINAL) -> Figure:
    """One row per arm, the cheapest first; a row without a figure says why."""
    rows = _sorted(found, goal)
    traces = [_row(finding, goal, place) for place, finding in enumerate(rows) if _exact(finding, goal)]
    claimed, data = _claims(rows, unit), counted([finding.arm for finding in found])
    layout = {
        "xaxis": {
            **ratio_axis([end for trace in (*claimed, *traces) for end in _ends(trace)]),
            "title": {"text": f"{unit.of(data)} ÷ baseline, log"},
        },
        "yaxis": {
            "range": [len(rows) - 0.5, -0.5],
            "tickvals": list(range(len(rows))),
            "ticktext": [f"{escape(finding.arm.label)}<br>n = {_seeds(finding, goal)}" for finding in rows],
            "showgrid": False,
        },
        "showlegend": False,
        "hovermode": "closest",
        "shapes": [level("x", 1.0, "solid")],
        "annotations": [_instead(each, goal, place) for place, each in enumerate(rows) if not _exact(each, goal)],
    }
    told = [f"{finding.arm.label}: {_words(finding, goal)}" for finding in rows]
    summary = f"Saving at the baseline's {goal.label}. {'; '.join(told) or 'No arms'}."
    return Figure({"data": [*claimed, *traces], "layout": layout}, summary)


def in_numbers(found: Sequence[Finding], goal: Goal = Goal.FINAL) -> Table:
    """The twin, with what the verdict rests on: p-values are those of the headline target alone."""
    headings = ("arm", "cost ratio", "low", "high", "claimed ratio of FLOPs", "n", "p", "p corrected (Holm)",
                "methods judged", "verdict", "note")  # fmt: skip
    rows = [_in_numbers(finding, goal) for finding in _sorted(found, goal)]
    unit = found[0].cost_label if found else ""
    return Table(f"Cost ratio in {unit} at the baseline's {goal.label}", headings, tuple(rows))


def _sorted(found: Sequence[Finding], goal: Goal) -> list[Finding]:
    return sorted(found, key=lambda finding: _ratio(finding, goal))


def _estimate(finding: Finding, goal: Goal) -> Estimate | None:
    pair = finding.at(goal.share)
    return pair[1] if pair else None


def _exact(finding: Finding, goal: Goal) -> Estimate | None:
    estimate = _estimate(finding, goal)
    return estimate if estimate and estimate.value is not None and not estimate.bound else None


def _ratio(finding: Finding, goal: Goal) -> float:
    estimate = _exact(finding, goal)
    return 1 - (estimate.value or 0.0) if estimate else float("inf")


def _seeds(finding: Finding, goal: Goal) -> int:
    estimate = _estimate(finding, goal)
    return estimate.n if estimate else len(finding.arm.finished)


def _words(finding: Finding, goal: Goal) -> str:
    if estimate := _estimate(finding, goal):
        return notation.saving(estimate)
    if finding.matched:
        return "not shown: not every seed of the baseline has a loss there"
    return f"{notation.WITHHELD}, unmatched"


def _row(finding: Finding, goal: Goal, place: int) -> dict[str, Any]:
    ratio, estimate = _ratio(finding, goal), _exact(finding, goal)
    span = estimate.interval if estimate else None
    bars = {"array": [1 - span.low - ratio], "arrayminus": [ratio - 1 + span.high]} if span else {"array": [0.0]}
    return {
        "x": [float(f"{ratio:.6g}")],
        "y": [place],
        "name": finding.arm.label,
        "meta": {"arm": finding.arm.index, "role": "point"},
        "error_x": {"type": "data", "symmetric": span is None, **bars},
        "text": [f"{escape(finding.arm.label)}, saving: {_words(finding, goal)}"],
        "hoverinfo": "text",
    }


def _ends(trace: dict[str, Any]) -> list[float]:
    """How far a trace reaches along the axis: a claim, or a point with its error bar."""
    bar = trace.get("error_x", {"array": [0.0]})
    return [trace["x"][0] - bar.get("arrayminus", bar["array"])[0], trace["x"][0] + bar["array"][0]]


def _claims(rows: Sequence[Finding], unit: Unit) -> list[dict[str, Any]]:
    """Dashed across its own row, each saving that the papers of a matched arm state: of FLOPs, so in FLOPs only."""
    flops = unit in (Unit.EXECUTED, Unit.EFFECTIVE)
    return [
        {
            "x": [ratio, ratio],
            "y": [place - HALF, place + HALF],
            "meta": {"role": "front"},
            "line": {"dash": "dash"},
            "text": [f"claimed {ratio:.3f}: {escape(setting)}"] * 2,
            "hoverinfo": "text",
        }
        for place, finding in enumerate(rows)
        for ratio, setting in (claimed_ratios(finding.arm) if flops and finding.matched else ())
    ]


def _instead(finding: Finding, goal: Goal, place: int) -> dict[str, Any]:
    where = {"xref": "paper", "x": 0.5, "y": place}
    text = "<br>".join(escape(line) for line in wrap(_words(finding, goal), NARROW))
    return {**where, **REMARK, "text": text}


def _in_numbers(finding: Finding, goal: Goal) -> tuple[Cell, ...]:
    estimate, evidence = _exact(finding, goal), finding.evidence
    span = estimate.interval if estimate else None
    ends = (1 - span.high, 1 - span.low) if span else (None, None)
    measured = (_ratio(finding, goal), *ends) if estimate else (None, None, None)
    claimed = ", ".join(f"{ratio:.3f}" for ratio, _ in claimed_ratios(finding.arm)) or None
    judged = evidence if estimate and goal is Goal.FINAL else None
    weighed = (judged.p, judged.corrected, judged.family) if judged else (None, None, None)
    note = "; ".join(finding.judgement.reasons)
    verdict = finding.judgement.verdict.value
    return (finding.arm.label, *measured, claimed, _seeds(finding, goal), *weighed, verdict, note)
