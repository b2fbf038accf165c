"""Weights that an arm inherits: making them is charged, or sunk; every chart and file of costs says which."""

from __future__ import annotations

from dataclasses import replace

from training.records import Purpose
from webapp.results.ask import Sources
from webapp.results.comparison import Comparison, Evaluations, SeedRun
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
    """A source is paid before the first evaluation, so all of it leaves each of them."""
    gone = [line for line in run.lines if line.purpose is Purpose.SOURCE]
    if not gone:
        return run
    tokens, executed, seconds = (
        sum(getattr(line, name) for line in gone) for name in ("tokens", "executed", "seconds")
    )
    at = Evaluations.of(run.evaluations)
    left = Evaluations(at.steps, at.tokens - tokens, at.executed - executed, at.seconds - seconds, at.losses)
    kept = tuple(line for line in run.lines if line.purpose is not Purpose.SOURCE)
    return replace(run, evaluations=left, lines=kept)


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
