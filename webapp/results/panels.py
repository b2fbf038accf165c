"""What each tab of a compare page shows: charts with their table twins, and the exports of both by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webapp.results import (
    closed_forms,
    figures,
    forest,
    frontier_chart,
    interaction,
    ledger,
    loss_chart,
    saving_chart,
    summary,
    tables,
)
from webapp.results.ask import Ask, Overheads, Scale, Tab
from webapp.results.comparison import Comparison, Unit
from webapp.results.figures import Figure
from webapp.results.frontier import Frontier, Quality, frontier, qualities
from webapp.results.matrix import MATRIX_NOTE, Matrix, matrix
from webapp.results.savings import Finding, claims, findings
from webapp.results.tables import Table


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its table twin; exports are found by `name`."""

    name: str
    title: str
    table: Table
    chart: Figure | None = None
    note: str = ""
    folded: bool = False
    matrix: Matrix | None = None

    @property
    def figure_id(self) -> str:
        return f"figure-{self.name}"


TABLES: dict[str, Callable[[Comparison, Ask], Table]] = {
    "arms": lambda comparison, ask: summary.arms(comparison),
    "curves": lambda comparison, ask: tables.curves(comparison),
    "savings": lambda comparison, ask: tables.savings(claimed(comparison, ask)),
    "forest": lambda comparison, ask: forest.in_numbers(claimed(comparison, ask), ask.goal),
    "contests": lambda comparison, ask: tables.contests(claimed(comparison, ask)),
    "budgets": lambda comparison, ask: tables.budgets(claimed(comparison, ask)),
    "interaction": lambda comparison, ask: interaction.in_numbers(interaction.interactions(comparison)),
    "frontier": lambda comparison, ask: frontier_chart.in_numbers(placed(comparison, ask)),
    "ledger": lambda comparison, ask: ledger.bill(comparison),
    "totals": lambda comparison, ask: ledger.in_all(comparison),
    "wall": lambda comparison, ask: ledger.wall(comparison),
    "uncounted": lambda comparison, ask: ledger.uncounted(comparison, free=False),
    "free": lambda comparison, ask: ledger.uncounted(comparison, free=True),
    "formulas": lambda comparison, ask: closed_forms.table(comparison),
    "checks": lambda comparison, ask: closed_forms.by_run(comparison),
    "evaluation": lambda comparison, ask: tables.scores(comparison),
    "matrix": lambda comparison, ask: matrix(comparison).sorted(ask.sort).table,
    "differences": lambda comparison, ask: tables.configuration(comparison),
    "configuration": lambda comparison, ask: tables.configuration(comparison, whole=True),
}
"""Exported in full, where a page may show words or fewer rows."""
FIGURES: dict[str, Callable[[Comparison, Ask], Figure]] = {
    "curves": lambda comparison, ask: loss_chart.loss_vs_cost(comparison, ask.unit),
    "savings": lambda comparison, ask: saving_chart.saving_at_equal_loss(
        comparison, claimed(comparison, ask), ask.unit
    ),
    "forest": lambda comparison, ask: forest.chart(claimed(comparison, ask), ask.unit, ask.goal),
    "frontier": lambda comparison, ask: frontier_chart.chart(placed(comparison, ask)),
    "ledger": lambda comparison, ask: figures.ledger_bars(comparison, ask.unit, absolute=ask.scale is Scale.ABSOLUTE),
    "wall": lambda comparison, ask: ledger.wall_bars(comparison),
}


def claimed(comparison: Comparison, ask: Ask) -> tuple[Finding, ...]:
    return claims(findings(comparison, ask.unit))


def units(tab: Tab, comparison: Comparison) -> list[Unit]:
    """Units the tab can be drawn in; a bill shows both kinds of FLOPs at once and has no steps."""
    if tab is Tab.LEDGER:
        return [Unit.EXECUTED, Unit.TOKENS, Unit.SECONDS]
    measured = any(run.joules is not None for run in comparison.runs)
    return [unit for unit in Unit if unit.accrues or (measured and tab is Tab.FRONTIER)]


def quality(comparison: Comparison, ask: Ask) -> Quality:
    """The quality the address names; else the first that there is: an accuracy if any was scored."""
    offered = qualities(comparison)
    return next((entry for entry in offered if entry.key == ask.quality), offered[0])


def placed(comparison: Comparison, ask: Ask) -> Frontier:
    return frontier(comparison, ask.unit, quality(comparison, ask), overheads=ask.overheads is Overheads.WITH)


def panels(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    """What a tab shows; `found` are the findings in its unit."""
    return {
        Tab.CURVES: _curves,
        Tab.SAVINGS: _savings,
        Tab.FRONTIER: _frontier,
        Tab.LEDGER: _ledger,
        Tab.EVALUATION: _evaluation,
        Tab.CONFIGURATION: _configuration,
    }[ask.tab](comparison, ask, found)


def _curves(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    chart = loss_chart.loss_vs_cost(comparison, ask.unit)
    words, note = loss_chart.in_words(comparison), loss_chart.note(comparison)
    return [Panel("curves", "Validation loss against cost", words, chart, note)]


def _savings(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    found = claims(found)
    ratio, rows = (
        saving_chart.saving_at_equal_loss(comparison, found, ask.unit),
        forest.chart(found, ask.unit, ask.goal),
    )
    note = "Below 1 saves; ribbon: 95% interval; dashed: the papers' claims; shaded: not reached by every seed."
    title = "Cost to reach a loss, relative to the baseline"
    beside = (
        "Left of 1 saves; bars: 95% interval of each arm alone; dashed: what its paper claims. The table corrects for "
        "several methods."
    )
    shown = [
        Panel("savings", title, tables.savings_in_words(found), ratio, note),
        Panel("forest", f"At the baseline's {ask.goal.label}", forest.in_numbers(found, ask.goal), rows, beside),
        Panel("budgets", "At equal budget", tables.budgets_in_words(found)),
    ]
    between, together = tables.contests(found), interaction.interactions(comparison)
    if between.rows:
        shown.append(Panel("contests", "Methods against each other", between))
    if together:
        said = f"{interaction.said(together)} {interaction.NOTE}"
        shown.append(Panel("interaction", "Methods together", interaction.in_words(together), note=said))
    return shown


def _frontier(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    where = placed(comparison, ask)
    note = (
        "Up and left is better. Line: the front; dotted: tied with it, the difference is within noise; faded: "
        "dominated. Bars: 95% interval over seeds. Overheads: all but plain training steps, evaluation and redone "
        "work included."
    )
    return [
        Panel(
            "frontier", "Quality against total cost", frontier_chart.in_words(where), frontier_chart.chart(where), note
        )
    ]


def _ledger(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    note = (
        "Formula beside executed and effective. Training first, then what is not counted, redone work too. "
        "Hatched: all but plain training steps. Effective = executed × density × bits ÷ base bits; wall is measured."
    )
    if ask.scale is Scale.PERCENT and (why := figures.unshared(comparison)):
        told = "; ".join(f"{arm.label}, {why[arm.code]}" for arm in comparison.arms if arm.code in why)
        note += f" No share of a baseline that is no match: {told}."
    bars, clock = FIGURES["ledger"](comparison, ask), FIGURES["wall"](comparison, ask)
    kept, free = ledger.uncounted(comparison, free=False), ledger.uncounted(comparison, free=True)
    return [
        Panel("ledger", "Costs by phase and purpose", ledger.bill(comparison), bars, note),
        Panel("totals", "What each arm spent and took in", ledger.in_all(comparison)),
        Panel("wall", "Where the wall clock went", ledger.wall(comparison), clock, ledger.WALL),
        Panel("formulas", "Counted against the formula", closed_forms.table(comparison), note=closed_forms.NOTE),
        Panel("checks", "The same, run by run", closed_forms.by_run(comparison), folded=True),
        Panel("uncounted", "Operators that are not counted", kept, note=ledger.LEFT_OUT, folded=True),
        Panel("free", "Operators that are free", free, note=ledger.FREE, folded=True),
    ]


def _evaluation(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    cells = matrix(comparison).sorted(ask.sort)
    return [
        Panel("matrix", "Scores of the finished models", cells.table, note=MATRIX_NOTE, matrix=cells),
        Panel("evaluation", "In full", tables.scores(comparison)),
    ]


def _configuration(comparison: Comparison, ask: Ask, found: tuple[Finding, ...]) -> list[Panel]:
    return [
        Panel("differences", "Settings that differ", tables.configuration(comparison)),
        Panel("configuration", "All settings", tables.configuration(comparison, whole=True)),
    ]
