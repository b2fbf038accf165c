"""What a report may embed: every chart and table of its experiment's compare page, by name, in one unit of cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webapp.results import inherited
from webapp.results.ask import Ask, Sources, Tab
from webapp.results.comparison import Comparison, Unit
from webapp.results.panels import TABLES, Panel, panels, units
from webapp.results.savings import findings
from webapp.results.tables import Table
from webapp.reviews.document import Drawing, Embed, Grid
from webapp.reviews.syntax import BadReport, Reference

KEPT = 5_000
"""Most rows of a table that a report keeps."""
Offer = dict[str, tuple[Panel, list[str]]]
"""Panels by name, each with the units it can be told in."""


class Gallery:
    """The panels of a comparison, drawn once per unit however often they are embedded."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self._drawn: dict[Unit, Offer] = {}

    def offer(self, unit: Unit = Unit.EXECUTED) -> Offer:
        """Every panel of the page, drawn in this unit."""
        if unit not in self._drawn:
            found = findings(self.comparison, unit)
            arms = Panel("arms", "Arms", TABLES["arms"](self.comparison, Ask()))
            drawn: Offer = {"arms": (arms, [Unit.EXECUTED.value])}
            for tab in Tab:
                known = [each.value for each in units(tab, self.comparison)]
                for panel in panels(self.comparison, Ask(tab=tab, unit=unit), found):
                    drawn.setdefault(panel.name, (self._charged(panel), known))
            self._drawn[unit] = drawn
        return self._drawn[unit]

    def _charged(self, panel: Panel) -> Panel:
        """Reports charge inherited weights, and say so where there are any."""
        if not inherited.inherits(self.comparison):
            return panel
        chart = panel.chart and inherited.on_chart(panel.chart, panel.name, self.comparison, Sources.CHARGED)
        table = inherited.in_table(panel.table, panel.name, self.comparison, Sources.CHARGED)
        return replace(panel, chart=chart, table=table)

    def embeds(self, references: Sequence[Reference]) -> tuple[Embed, ...]:
        """Each embed drawn. Raises BadReport, naming the line of every one that cannot be."""
        problems = [problem for reference in references if (problem := self._problem(reference))]
        if problems:
            raise BadReport(problems)
        drawn = {reference.line: self._embed(reference) for reference in references}
        first = {embed.anchor: line for line, embed in reversed(drawn.items())}
        twice = [(line, first[embed.anchor]) for line, embed in drawn.items() if line != first[embed.anchor]]
        if twice:
            raise BadReport([f"line {line}: the same as line {before}; embed it once" for line, before in twice])
        return tuple(drawn.values())

    def _problem(self, wanted: Reference) -> str:
        offer = self.offer()
        names = [name for name, (panel, _) in offer.items() if wanted.kind == "table" or panel.chart]
        where = f"line {wanted.line}: "
        if wanted.name not in names:
            return f"{where}there is no {wanted.kind} {wanted.name!r}; there are {', '.join(names)}"
        known = offer[wanted.name][1]
        if wanted.unit and wanted.unit not in known:
            return f"{where}{wanted.name} is not told in {wanted.unit!r}; its units are {', '.join(known)}"
        return ""

    def _embed(self, wanted: Reference) -> Embed:
        unit = Unit(wanted.unit or Unit.EXECUTED.value)
        panel, _ = self.offer(unit)[wanted.name]
        chart = panel.chart if wanted.kind == "chart" else None
        drawing = chart and Drawing(figure=chart.figure, summary=chart.summary, shown=chart.shown, total=chart.total)
        return Embed(
            kind=wanted.kind,
            name=wanted.name,
            unit=unit.value,
            title=panel.title,
            note=panel.note,
            grid=_grid(panel.table),
            drawing=drawing,
        )


def _grid(table: Table) -> Grid:
    return Grid(caption=table.caption, headings=table.headings, rows=table.rows[:KEPT], total=len(table.rows))
