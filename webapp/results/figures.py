"""The charts as plain Plotly figures. A trace says what it is in `meta`; charts.js gives colour, dash and marker.

Names are plain text: charts.js escapes trace names, category labels and hover texts are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from training.records import OUTSIDE_TRAINING, Purpose
from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.curves import Floats
from webapp.results.matching import problems, setting_differences
from webapp.results.tables import Costs, mean_lines

HATCHES = {Purpose.EVAL: "/", Purpose.REDONE: "x", Purpose.ADAPT: "."}
ROW, FRAME = 30, 200
"""Pixels of a bar with two lines of label, and of legend and axis around the bars."""
OVERHEAD = "\\"
"""Hatch of counted work that is not plain training steps: grey printing must tell it too."""

REMARK = {"showarrow": False, "font": {"size": 11, "color": "--ink-2"}, "bgcolor": "--card"}
"""An annotation of few words, readable where lines cross it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart: Plotly `figure`, a sentence that says what it shows, and how many points of how many."""

    figure: dict[str, Any]
    summary: str
    shown: int = 0
    total: int = 0

    @property
    def counted(self) -> str:
        """`Showing 1,000 of 50,000 points, min and max kept.`"""
        kept = ", min and max of each stretch kept" if self.shown < self.total else ""
        return f"Showing {self.shown:,} of {self.total:,} points{kept}."


def ribbon(arm: ArmResult, x: Floats, low: Floats, high: Floats) -> dict[str, Any]:
    return {
        "x": plain(np.concatenate([x, x[::-1]])),
        "y": plain(np.concatenate([high, low[::-1]])),
        "meta": {"arm": arm.index, "role": "band"},
        "showlegend": False,
    }


def ledger_bars(comparison: Comparison, unit: Unit, *, absolute: bool = False) -> Figure:
    """Per arm a bar of its closed form, and a stacked one per kind of cost by phase and purpose.

    The baseline's training cost is 100 %, unless `absolute`: then costs are in their unit.
    """
    whole = None if absolute or not comparison.baseline else comparison.baseline.totals(_ledger_unit(unit))
    finished = [arm for arm in comparison.arms if arm.finished]
    withheld = unshared(comparison) if whole else {}
    bills = [(arm, mean_lines(arm)) for arm in finished if arm.code not in withheld]
    keys = list(dict.fromkeys(key for _, bill in bills for key in bill))
    keys.sort(key=lambda key: key[1] in OUTSIDE_TRAINING)
    traces = [_segment(key, place, bills, unit, whole.value if whole else None) for place, key in enumerate(keys)]
    if _ledger_unit(unit) is Unit.EXECUTED and bills:
        traces.insert(0, _formula([arm for arm, _ in bills], whole.value if whole else None))
    if withheld:
        traces.append(_blank([arm for arm in finished if arm.code in withheld]))
    axis = "% of the baseline's training cost" if whole else _ledger_unit(unit).of(comparison.counted)
    level = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 100, "x1": 100}
    layout: dict[str, Any] = {
        "barmode": "stack",
        "xaxis": {"title": {"text": axis}, "rangemode": "tozero"},
        "yaxis": {
            "autorange": "reversed", "type": "category", "ticks": "", "showgrid": False,
            "categoryarray": [name for arm in finished for name in _named(arm, unit, withheld)],
        },
        "legend": {"traceorder": "normal"},
        "hovermode": "closest",
        "shapes": [{**level, "line": {"color": "--ink", "width": 1}}] if whole else [],
        "annotations": [_no_share(arm) for arm in finished if arm.code in withheld],
    }  # fmt: skip
    layout["height"] = max(350, FRAME + ROW * len(layout["yaxis"]["categoryarray"]))
    totals = [(arm.label, arm.totals(Unit.EXECUTED)) for arm, _ in bills]
    told = [f"{label} {notation.quantity(mean.value, Unit.EXECUTED)}" for label, mean in totals if mean]
    told += [f"{arm.label}: share withheld, {withheld[arm.code]}" for arm in finished if arm.code in withheld]
    summary = f"Costs by phase and purpose. Executed in training: {'; '.join(told) or 'nothing finished yet'}."
    return Figure({"data": traces, "layout": layout}, summary)


def unshared(comparison: Comparison) -> dict[str, str]:
    """Why an arm's cost is no share of the baseline's, by code: they are no match. A reference claims nothing."""
    methods = [arm for arm in comparison.rivals if arm.finished and not _is_reference(arm, comparison.baseline)]
    found = {arm.code: "; ".join(problems(arm, comparison.baseline)) for arm in methods}
    return {code: reason for code, reason in found.items() if reason}


def _is_reference(arm: ArmResult, baseline: ArmResult | None) -> bool:
    return arm.is_dense and baseline is not None and not setting_differences(arm.spec, baseline.spec)


def _named(arm: ArmResult, unit: Unit, withheld: Mapping[str, str]) -> list[str]:
    return [escape(arm.label)] if arm.code in withheld else _bars(arm, unit)


def _blank(arms: list[ArmResult]) -> dict[str, Any]:
    """Keeps the places of arms without bars."""
    names = [escape(arm.label) for arm in arms]
    return {"type": "bar", "orientation": "h", "x": [0] * len(names), "y": names, "meta": {"arm": 0, "role": "bar"},
            "hoverinfo": "skip", "showlegend": False}  # fmt: skip


def _no_share(arm: ArmResult) -> dict[str, Any]:
    where = {"xref": "paper", "x": 0.01, "xanchor": "left", "y": escape(arm.label)}
    return {**where, **REMARK, "text": "withheld, unmatched"}


def _formula(arms: list[ArmResult], whole: float | None) -> dict[str, Any]:
    """What each arm's closed form says that training costs, beside what was executed."""
    planned = [arm.spec.train_flops() for arm in arms]
    return {
        "type": "bar",
        "orientation": "h",
        "x": [100 * flops / whole if whole else flops for flops in planned],
        "y": [f"{escape(arm.label)}<br>formula" for arm in arms],
        "name": "closed form",
        "meta": {"arm": 0, "role": "bar"},
        "marker": {"pattern": {"shape": "", "fillmode": "overlay"}},
        "text": [f"closed form: {notation.quantity(flops, Unit.EXECUTED)}" for flops in planned],
        "hoverinfo": "text",
        "textposition": "none",
    }


def _ledger_unit(unit: Unit) -> Unit:
    """What the bars are drawn in: FLOPs of both kinds side by side, else seconds or tokens; steps have no bill."""
    return unit if unit in (Unit.SECONDS, Unit.TOKENS) else Unit.EXECUTED


def _bars(arm: ArmResult, unit: Unit) -> list[str]:
    """Names of an arm's bars: in FLOPs the formula's, executed, effective; else one."""
    label = escape(arm.label)
    if _ledger_unit(unit) is not Unit.EXECUTED:
        return [label]
    return [f"{label}<br>{kind}" for kind in ("formula", "executed", "effective")]


def _segment(
    key: tuple[str, Purpose],
    place: int,
    bills: list[tuple[ArmResult, dict[tuple[str, Purpose], Costs]]],
    unit: Unit,
    whole: float | None,
) -> dict[str, Any]:
    """One phase and purpose across all arms; where it cost nothing there is no bar to draw."""
    phase, purpose = key
    drawn = _ledger_unit(unit)
    kinds = {Unit.EXECUTED: (0, 1), Unit.SECONDS: (2,), Unit.TOKENS: (3,)}[drawn]
    names, values, text = [], [], []
    for arm, bill in bills:
        for name, kind in zip(_bars(arm, unit)[-len(kinds) :], kinds, strict=True):
            if key in bill and (cost := bill[key][kind]):
                names.append(name)
                values.append(100 * cost / whole if whole else cost)
                text.append(f"{escape(phase)}, {purpose.value}: {notation.quantity(cost, drawn)}")
    counted = "" if purpose not in OUTSIDE_TRAINING else " (not counted)"
    hatch = HATCHES.get(purpose, "" if purpose is Purpose.TRAIN else OVERHEAD)
    return {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": names,
        "name": f"{phase}: {purpose.value}{counted}",
        "meta": {"arm": 1 + place % 7, "role": "bar"},
        "marker": {"pattern": {"shape": hatch, "fillmode": "overlay"}},
        "text": text,
        "hoverinfo": "text",
        "textposition": "none",
    }


def cost_ticks(unit: Unit) -> dict[str, Any]:
    return {"nticks": 6, **({"exponentformat": "SI"} if unit is not Unit.SECONDS else {"ticksuffix": " s"})}


def plain(values: Floats) -> list[float | None]:
    """Plotly's JSON knows no NaN; five significant digits are more than a pixel shows."""
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]
