"""A compare page as drawn: computed once for the rows it rests on and the address it has, then remembered."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.experiments.models import Experiment
from webapp.results import ledger, selectors
from webapp.results.ask import Ask, Sources
from webapp.results.comparison import Comparison, Unit
from webapp.results.panels import Panel, panels
from webapp.results.recent import Recent
from webapp.results.savings import Finding, findings

JUDGED: Recent[tuple[str, Unit, Sources], tuple[Finding, ...]] = Recent(most=64)
DRAWN: Recent[tuple[str, Ask], list[Panel]] = Recent(most=64)


@dataclass(frozen=True, slots=True)
class Page:
    """`judged` in executed FLOPs, as the answer on top; `panels` as the address asks."""

    comparison: Comparison
    judged: tuple[Finding, ...]
    panels: list[Panel]


def page(experiment: Experiment, ask: Ask, stamp: str) -> Page:
    """The page of this address; `stamp` names the rows, so what is remembered is never stale."""
    comparison = selectors.comparison(experiment, stamp)
    if ask.sources is Sources.SUNK:
        comparison = ledger.sunk(comparison)
    shown = DRAWN.get((stamp, ask), lambda: panels(comparison, ask, _judged(comparison, ask.unit, ask.sources, stamp)))
    return Page(comparison, _judged(comparison, Unit.EXECUTED, ask.sources, stamp), shown)


def _judged(comparison: Comparison, unit: Unit, sources: Sources, stamp: str) -> tuple[Finding, ...]:
    return JUDGED.get((stamp, unit, sources), lambda: findings(comparison, unit))
