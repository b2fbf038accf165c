"""A compare page as drawn: computed once for the rows it rests on and the address it has, then remembered."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webapp.experiments.models import Experiment
from webapp.results import inherited, selectors
from webapp.results.ask import Ask, Sources
from webapp.results.comparison import Comparison, Unit
from webapp.results.panels import Panel, panels
from webapp.results.recent import Recent
from webapp.results.savings import Finding, findings

JUDGED: Recent[tuple[str, Unit, Sources], tuple[Finding, ...]] = Recent(most=64)
DRAWN: Recent[tuple[str, Ask], list[Panel]] = Recent(most=64)


@dataclass(frozen=True, slots=True)
class Page:
    """`judged` in executed FLOPs, as the answer on top; `panels` as the address asks.

    `inherits`: an arm has weights that something else trained, so that it matters whether these are charged.
    """

    comparison: Comparison
    judged: tuple[Finding, ...]
    panels: list[Panel]
    inherits: bool


def page(experiment: Experiment, ask: Ask, stamp: str) -> Page:
    """The page of this address; `stamp` names the rows, so what is remembered is never stale."""
    whole = selectors.comparison(experiment, stamp)
    comparison = inherited.asked(whole, ask.sources)
    drawn = DRAWN.get((stamp, ask), lambda: _drawn(whole, comparison, ask, stamp))
    return Page(comparison, _judged(comparison, Unit.EXECUTED, ask.sources, stamp), drawn, inherited.inherits(whole))


def _drawn(whole: Comparison, comparison: Comparison, ask: Ask, stamp: str) -> list[Panel]:
    found = panels(comparison, ask, _judged(comparison, ask.unit, ask.sources, stamp))
    charts = [panel.chart and inherited.on_chart(panel.chart, panel.name, whole, ask.sources) for panel in found]
    return [replace(panel, chart=chart) for panel, chart in zip(found, charts, strict=True)]


def _judged(comparison: Comparison, unit: Unit, sources: Sources, stamp: str) -> tuple[Finding, ...]:
    return JUDGED.get((stamp, unit, sources), lambda: findings(comparison, unit))
