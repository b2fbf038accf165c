"""The quality-cost frontier as a chart and as its table twins, in words and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from webapp.results import labels, notation
from webapp.results.figures import Figure, cost_ticks, plain
from webapp.results.frontier import Frontier, Position, Standing
from webapp.results.statistics import Estimate
from webapp.results.tables import Cell, Table

FADED = 0.45
"""Opacity of a dominated arm: still legible, still hoverable."""
ROOM = 0.12
"""Share of the drawn decades left free on either side, for the labels."""


def chart(found: Frontier) -> Figure:
    """One labelled point per arm with both intervals; the front as a step line; dotted: tied with the front."""
    traces = [*_front(found), *_ties(found)]
    costs = [position.cost.value for position in found.positions if position.cost.value]
    sides = labels.sides(_shares(found), [position.arm.label for position in found.positions])
    traces += [_point(position, side, found) for position, side in zip(found.positions, sides, strict=True)]
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": f"{found.cost_label}, log"},
            **cost_ticks(found.unit),
            **_range(costs),
        },
        "yaxis": {"title": {"text": _quality_label(found)}, "nticks": 6},
        "hovermode": "closest",
        "showlegend": False,
    }
    return Figure({"data": traces, "layout": layout}, _summary(found))


def in_words(found: Frontier) -> Table:
    """Who dominates whom, cheapest first."""
    rows: list[tuple[Cell, ...]] = [
        (
            position.arm.label,
            f"{notation.quantity(position.cost.value or 0.0, found.unit)}{_interval(position.cost, found, cost=True)}",
            f"{_written(position.quality.value or 0.0, found)}{_interval(position.quality, found, cost=False)}",
            position.quality.n,
            _verdict(position, found),
        )
        for position in found.positions
    ]
    rows += [(label, notation.NONE, notation.NONE, 0, "not placed: no finished run has both") for label in found.absent]
    headings = ("arm", found.cost_label, _quality_label(found), "seeds", "against the other arms")
    return Table("Who dominates whom [95% interval over seeds]", headings, tuple(rows))


def in_numbers(found: Frontier) -> Table:
    """The chart's values in full, for export."""
    rows = [
        (
            position.arm.label,
            *_numbers(position.cost),
            *_numbers(position.quality),
            position.quality.n,
            position.standing.value,
            ", ".join(arm.label for arm in position.better),
        )
        for position in found.positions
    ]
    headings = (
        "arm", found.cost_label, "cost low", "cost high", found.quality.label, "quality low", "quality high", "n",
        "standing", "ahead of it",
    )  # fmt: skip
    return Table("Quality against total cost", headings, tuple(rows))


def _point(position: Position, side: str, found: Frontier) -> dict[str, Any]:
    scale = 100 if found.quality.percent else 1
    label = escape(position.arm.label)
    dominated = position.standing is Standing.DOMINATED
    hover = f"{label}: {_written(position.quality.value or 0.0, found)} at " + notation.quantity(
        position.cost.value or 0.0, found.unit
    )
    return {
        "x": [position.cost.value],
        "y": [scale * (position.quality.value or 0.0)],
        **_bars("error_x", position.cost, 1),
        **_bars("error_y", position.quality, scale),
        "name": position.arm.label,
        "meta": {"arm": position.arm.index, "role": "point"},
        "mode": "markers+text",
        "text": [label],
        "hovertext": [f"{hover}<br>{escape(_verdict(position, found))}"],
        "hoverinfo": "text",
        "textposition": side,
        "opacity": FADED if dominated else 1.0,
        "cliponaxis": False,
    }


def _shares(found: Frontier) -> list[tuple[float, float]]:
    """Where the points lie, in shares of the plot: costs as the axis has them, qualities over all intervals."""
    costs = np.log10([position.cost.value or 1.0 for position in found.positions])
    qualities = np.array([position.quality.value or 0.0 for position in found.positions])
    spans = [position.quality.interval for position in found.positions if position.quality.interval]
    ends = [*qualities, *(end for span in spans for end in (span.low, span.high))]
    if not qualities.size:
        return []
    room = _room(costs.min(), costs.max())
    xs = (costs - costs.min() + room) / (costs.max() - costs.min() + 2 * room)
    ys = (qualities - min(ends)) / ((max(ends) - min(ends)) or 1.0)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def _room(low: float, high: float) -> float:
    """Decades left free on either side."""
    return max(ROOM * (high - low), 0.08)


def _bars(axis: str, estimate: Estimate, scale: float) -> dict[str, Any]:
    """Error bars of the 95 % interval; none where there is no interval."""
    span, value = estimate.interval, estimate.value or 0.0
    if span is None:
        return {}
    above, below = scale * (span.high - value), scale * (value - span.low)
    return {axis: {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1.2}}


def _front(found: Frontier) -> list[dict[str, Any]]:
    """Best quality for at most this cost: flat until the next arm of the front, and on to the dearest arm."""
    scale = 100 if found.quality.percent else 1
    if len(found.positions) < 2:
        return []
    ends = [*found.front, found.front[-1]]
    xs = [*(p.cost.value for p in found.front), found.positions[-1].cost.value]
    line = {"x": xs, "y": [scale * (p.quality.value or 0.0) for p in ends]}
    return [{**line, "meta": {"role": "front"}, "line": {"shape": "hv"}, "hoverinfo": "skip", "showlegend": False}]


def _ties(found: Frontier) -> list[dict[str, Any]]:
    """A dotted link from each tied arm to the member of the front that is ahead of it by less than noise."""
    scale = 100 if found.quality.percent else 1
    front = {position.arm.code: position for position in found.front}
    traces = []
    for tied in (position for position in found.positions if position.standing is Standing.TIED):
        ahead = next(front[arm.code] for arm in tied.better if arm.code in front)
        ends = (ahead, tied)
        xs, ys = [end.cost.value for end in ends], [scale * (end.quality.value or 0.0) for end in ends]
        look = {"meta": {"role": "front"}, "line": {"dash": "dot"}, "hoverinfo": "skip", "showlegend": False}
        traces.append({"x": xs, "y": ys, **look})
    return traces


def _range(costs: Sequence[float]) -> dict[str, Any]:
    """Decades from the cheapest to the dearest arm, with room for their labels."""
    if not costs:
        return {}
    low, high = np.log10(min(costs)), np.log10(max(costs))
    room = _room(low, high)
    return {"range": plain(np.array([low - room, high + room]))}


def _verdict(position: Position, found: Frontier) -> str:
    """`dominated by EST: costs 24.8% less, 1.2 points better`, or why not."""
    if position.standing is Standing.FRONT:
        return "on the front: no arm is at least as good for as little"
    ahead = {arm.code for arm in position.beaten_by or position.better}
    others = [other for other in found.positions if other.arm.code in ahead]
    told = "; ".join(_margin(position, other, found) for other in others)
    if position.standing is Standing.DOMINATED:
        return f"dominated by {told}"
    few = "" if position.quality.interval else ": fewer than 3 seeds tell no difference from noise"
    return f"tied with the front: within noise of {told}{few}"


def _margin(position: Position, other: Position, found: Frontier) -> str:
    less = 1 - (other.cost.value or 0.0) / (position.cost.value or 1.0)
    gain = (other.quality.value or 0.0) - (position.quality.value or 0.0)
    better = f"{100 * gain:.2g} points" if found.quality.percent else f"{gain:.3g}"
    cheaper = f"{notation.percent(less)} cheaper" if less > 0 else "as cheap"
    return f"{other.arm.label} ({cheaper}, {better} better)" if gain > 0 else f"{other.arm.label} ({cheaper}, as good)"


def _written(value: float, found: Frontier) -> str:
    return notation.percent(value) if found.quality.percent else f"{value:.3f}".replace("-", "−")


def _interval(estimate: Estimate, found: Frontier, *, cost: bool) -> str:
    span = estimate.interval
    if span is None or span.low == span.high:
        return ""
    low, high = (notation.quantity(end, found.unit) if cost else _written(end, found) for end in (span.low, span.high))
    return f" [{low}, {high}]"


def _quality_label(found: Frontier) -> str:
    return f"{found.quality.label} ({'%' if found.quality.percent else 'higher is better'})"


def _numbers(estimate: Estimate) -> tuple[Cell, ...]:
    span = estimate.interval
    return (estimate.value, *((span.low, span.high) if span else (None, None)))


def _summary(found: Frontier) -> str:
    told = [f"{position.arm.label} is {_verdict(position, found)}" for position in found.positions]
    return f"{found.quality.label} against {found.cost_label}. {'. '.join(told) or 'No run has finished yet'}."
