"""The whole truth about the costs: how each number was obtained, where wall time went, what the count leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from training.account import Account
from training.clock import Segment
from training.records import OUTSIDE_TRAINING, Purpose
from webapp.results import notation
from webapp.results.comparison import Comparison, Unit
from webapp.results.figures import Figure
from webapp.results.tables import Cell, Costs, Table, mean_lines
from webapp.runs.models import Attempt

TOLERANCE = 0.02
"""A larger share of the wall clock without a name is a fault."""
REST = "without a name"
HATCHES = dict(zip([*Segment, REST], ("/", "-", "", "\\", "x", "+", "|", "."), strict=True))
KINDS = ("product", "other", "elementwise", "free")
WALL = (
    "Monotonic clock of the trainer, one segment at a time; what it does not name, of the attempt's wall clock from "
    "its claim to its end on the database's clock, is the last segment. Above 2%: a fault, or a killed attempt."
)
LEFT_OUT = (
    "Operators without a FLOP formula, by calls in one step or booking. Elements are those written: at a few operations"
    " each they bound what the count leaves out. A product here would make it wrong."
)
FREE = "They move no number: views, by their schema, and factories, which take no tensor."


@dataclass(frozen=True, slots=True)
class Clocked:
    """One attempt that has ended: its run, its wall clock, and what it told of itself."""

    run: str
    n: int
    wall: float
    account: Account

    @property
    def rest(self) -> float:
        return self.wall - self.account.seconds


def attempts(comparison: Comparison) -> tuple[Clocked, ...]:
    """Ended attempts of all runs; read for this tab alone, for their accounts are long."""
    rows = Attempt.objects.filter(run__arm__experiment__code=comparison.code, ended_at__isnull=False)
    ended = rows.select_related("run").order_by("run_id", "n")
    return tuple(Clocked(row.run.code, row.n, row.seconds or 0.0, row.account) for row in ended if row.body)


def bill(comparison: Comparison) -> Table:
    """The bill by phase and purpose, mean over finished seeds, each with its share and how it was obtained."""
    rows: list[tuple[Cell, ...]] = []
    told = {entry.run: entry.account for entry in attempts(comparison)}
    for arm in comparison.arms:
        accounts = [told[run.code] for run in arm.finished if run.code in told]
        lines = mean_lines(arm).items()
        whole = sum(costs.executed for (_, purpose), costs in lines if purpose not in OUTSIDE_TRAINING)
        for (phase, purpose), costs in lines:
            counted = "no" if purpose in OUTSIDE_TRAINING else "yes"
            share = costs.executed / whole if whole else None
            how = _obtained(phase, purpose, accounts)
            rows.append((arm.label, phase, purpose.value, counted, *costs, share, len(arm.finished), how))
    headings = ("arm", "phase", "purpose", "counted", "executed FLOPs", "effective FLOPs", "wall seconds",
                f"{comparison.counted}s", "examples", "of training FLOPs", "n", "how FLOPs were obtained")  # fmt: skip
    return Table("Costs by phase and purpose, mean over finished seeds", headings, tuple(rows))


def in_all(comparison: Comparison) -> Table:
    """What each arm spent and took in, training and all else apart: FLOPs and seconds beside examples and tokens."""
    rows: list[tuple[Cell, ...]] = []
    for arm in comparison.arms:
        lines = mean_lines(arm).items()
        for kind, outside in (("training", False), ("not counted", True)):
            spent = Costs.summed(costs for (_, purpose), costs in lines if (purpose in OUTSIDE_TRAINING) is outside)
            if any(spent):
                rows.append((arm.label, kind, *spent, len(arm.finished)))
    headings = ("arm", "spent on", "executed FLOPs", "effective FLOPs", "wall seconds",
                f"{comparison.counted}s", "examples", "n")  # fmt: skip
    caption = "Mean over finished seeds; not counted: evaluation, adaptation, redone work"
    return Table(caption, headings, tuple(rows))


def _obtained(phase: str, purpose: Purpose, accounts: list[Account]) -> str:
    """Seconds are always measured, and effective is always executed times density times bits over base bits."""
    if purpose is Purpose.REDONE:
        return "all that was spent, less what the checkpoint kept"
    counts = max((account.signatures.get(phase, 0) for account in accounts), default=0)
    return f"counted by dispatch, {counts} signatures, replayed" if counts else "counted by dispatch"


def wall(comparison: Comparison) -> Table:
    """Every attempt's wall clock by segment, and what of it has no name."""
    rows: list[tuple[Cell, ...]] = []
    arms = {run.code: (arm.label, run.seed) for arm in comparison.arms for run in arm.runs}
    for entry in attempts(comparison):
        clock = entry.account.clock
        share = entry.rest / entry.wall if entry.wall else 0.0
        fault = " beyond 2%" if abs(share) > TOLERANCE else ""
        parts = (round(clock.get(segment, 0.0), 3) for segment in Segment)
        rows.append((*arms[entry.run], entry.n, *parts, round(entry.wall, 3), f"{notation.percent(share)}{fault}"))
    headings = ("arm", "seed", "attempt", *(segment.value for segment in Segment), "wall clock", REST)
    return Table("Wall seconds of each attempt, by segment", headings, tuple(rows))


def wall_bars(comparison: Comparison) -> Figure:
    """One stacked bar per arm: the mean wall clock of a finished run, redone attempts included, by segment."""
    entries = attempts(comparison)
    arms = [arm for arm in comparison.arms if {run.code for run in arm.finished} & {entry.run for entry in entries}]
    traces: list[dict[str, Any]] = []
    labels = [escape(arm.label) for arm in arms]
    for place, (name, hatch) in enumerate(HATCHES.items()):
        seconds = []
        for arm in arms:
            codes = {run.code for run in arm.finished}
            spent = [_seconds(entry, name) for entry in entries if entry.run in codes]
            seconds.append(sum(spent) / len(codes))
        traces.append({
            "type": "bar", "orientation": "h", "x": seconds, "y": labels, "name": str(name),
            "meta": {"arm": place, "role": "bar"}, "marker": {"pattern": {"shape": hatch, "fillmode": "overlay"}},
            "text": [f"{name}: {notation.quantity(value, Unit.SECONDS)}" for value in seconds],
            "hoverinfo": "text", "textposition": "none",
        })  # fmt: skip
    layout = {
        "barmode": "stack",
        "xaxis": {"title": {"text": "wall seconds per run"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "type": "category", "ticks": "", "showgrid": False},
        "legend": {"traceorder": "normal"},
        "hovermode": "closest",
    }
    rest, whole = sum(max(0.0, entry.rest) for entry in entries), sum(entry.wall for entry in entries)
    named = notation.percent(1 - rest / whole) if whole else notation.NONE
    summary = f"Wall clock of {len(arms)} arms by segment; {named} of it has a name."
    return Figure({"data": traces if arms else [], "layout": layout}, summary)


def _seconds(entry: Clocked, name: str) -> float:
    return max(0.0, entry.rest) if name == REST else entry.account.clock.get(Segment(name), 0.0)


def uncounted(comparison: Comparison, *, free: bool) -> Table:
    """Operators without a formula, products first: those that move no number, or the others."""
    labels = {run.code: arm.label for arm in comparison.arms for run in arm.runs}
    found = {
        (labels[entry.run], operator.phase, operator.part, operator.operator): operator
        for entry in attempts(comparison)
        for operator in entry.account.uncounted
        if (operator.kind == "free") is free
    }
    rows = [
        (*key, operator.kind, operator.calls, operator.elements)
        for key, operator in sorted(found.items(), key=lambda item: (KINDS.index(item[1].kind), -item[1].elements))
    ]
    headings = ("arm", "phase", "part", "operator", "kind", "calls", "elements written")
    return Table("Operators without a FLOP formula, in one step or booking", headings, tuple(rows))
