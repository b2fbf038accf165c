"""Weights that an arm inherits: making them is charged, or sunk; every chart and file of costs says which."""

from __future__ import annotations

from dataclasses import replace

from training.records import Purpose
from webapp.results.ask import Sources
from webapp.results.comparison import Comparison, SeedRun
from webapp.results.evaluations import Evaluations
from webapp.results.figures import Figure
from webapp.results.tables import Table

HEADING = "inherited weights"
NOTHING = "none"
COSTED = frozenset(
    {"arms", "curves", "savings", "forest", "contests", "interaction", "budgets", "frontier", "ledger", "totals"}
)
"""Charts and tables that tell what training cost, by name: in the others the answer changes nothing."""


def inherits(comparison: Comparison) -> bool:
    """Whether any arm has weights that something else trained; ask it of costs as charged."""
    return any(line.purpose is Purpose.SOURCE for run in comparison.runs for line in run.lines)


def sunk(comparison: Comparison) -> Comparison:
    """The same with inherited weights for free: `source` leaves the training cost, of totals and of every point."""
    arms = (replace(arm, runs=tuple(_sunk(run) for run in arm.runs)) for arm in comparison.arms)
    return replace(comparison, arms=tuple(arms))


def _sunk(run: SeedRun) -> SeedRun:
    """All of a source leaves each evaluation; those made while it was paid, which then cost less than nothing, go."""
    gone = [line for line in run.lines if line.purpose is Purpose.SOURCE]
    if not gone:
        return run
    tokens, executed, seconds, effective = (
        sum(getattr(line, name) for line in gone) for name in ("tokens", "executed", "seconds", "effective")
    )
    at = Evaluations.of(run.evaluations)
    after = at.executed >= executed
    steps = max(at.steps[at.executed <= executed], default=0)
    left = Evaluations(
        at.steps[after] - steps,
        at.tokens[after] - tokens,
        at.executed[after] - executed,
        at.seconds[after] - seconds,
        at.losses[after],
        effective=at.effective[after] - effective,
    )
    kept = tuple(line for line in run.lines if line.purpose is not Purpose.SOURCE)
    paid = {"steps": float(steps), "tokens": float(tokens), "executed": executed}
    return replace(run, evaluations=left, lines=kept, sunk=paid)


def asked(comparison: Comparison, sources: Sources) -> Comparison:
    """The comparison as the address wants its costs."""
    return sunk(comparison) if sources is Sources.SUNK else comparison


def in_table(table: Table, name: str, comparison: Comparison, sources: Sources) -> Table:
    """A last column `none`, `charged` or `sunk`; `comparison` is the one as charged."""
    if name not in COSTED:
        return table
    said = sources.value if inherits(comparison) else NOTHING
    rows = tuple((*row, said) for row in table.rows)
    return Table(f"{table.caption}; {HEADING}: {said}", (*table.headings, HEADING), rows)


def on_chart(figure: Figure, name: str, comparison: Comparison, sources: Sources) -> Figure:
    """A second line below the chart where something was inherited, so that a picture of it says so too."""
    if name not in COSTED or not inherits(comparison) or "xaxis" not in figure.figure.get("layout", {}):
        return figure
    layout = figure.figure["layout"]
    text = f"{layout['xaxis']['title']['text']}<br>{HEADING} {sources.value}"
    axis = {**layout["xaxis"], "title": {**layout["xaxis"]["title"], "text": text}}
    told = f"{figure.summary} {HEADING.capitalize()} are {sources.value}."
    return replace(figure, figure={**figure.figure, "layout": {**layout, "xaxis": axis}}, summary=told)
