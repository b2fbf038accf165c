"""What a study of the D-CPT law shows: loss against share with the fitted lines, its tables, and the exports of all."""

from __future__ import annotations

from typing import Literal

from training.studies.dcpt.finding import SOURCES, DcptFinding
from webapp.results import notation, study_across
from webapp.results.panels import Panel
from webapp.results.study_lines import SHARES, Line, against_share
from webapp.results.tables import Cell, Table

Corpus = Literal["domain", "general"]
TARGETS = (1, 2, 5)
"""Numbers of target domains whose cost is told."""


def panels(found: DcptFinding, at: float) -> list[Panel]:
    """Everything that the page shows of a finding, the charts after so many tokens; exports are found by name."""
    return [
        surface(found, "domain", at),
        surface(found, "general", at),
        Panel("points", "Every evaluation", points_table(found), folded=True),
        Panel("fits", "How good the laws are", fits_table(found)),
        Panel("heldout", "Left out and predicted", held_out_table(found)),
        *([Panel("checks", "Checked by a run", checks_table(found))] if found.checks else []),
        *(study_across.panels(found.across, at) if found.across else ()),
        Panel("costs", "What it cost", costs_table(found)),
        Panel("targets", "What more target domains would cost", targets_table(found), note=targets_note(found)),
    ]


def levels(found: DcptFinding) -> list[float]:
    """Tokens at which the runs were evaluated, in units of 10^9, ascending."""
    return sorted({one.tokens for one in found.observations})


def surface(found: DcptFinding, corpus: Corpus, at: float) -> Panel:
    """Loss on one text against the domain's share, after so many tokens: measured points and the fitted line."""
    fit = found.domain if corpus == "domain" else found.general
    shares = SHARES if corpus == "domain" else 1 - SHARES
    lines = []
    for base in found.bases:
        seen = [one for one in found.observations if one.size == base.size and one.tokens == at]
        law = fit.law.loss(base.size, at, shares) if fit else None
        lines.append(Line(base.preset, [one.domain_share for one in seen], [getattr(one, corpus) for one in seen], law))
    said = f"Loss on the {corpus} text against the share of the domain, after {at * 1e9:,.0f} tokens."
    rows = (len(lines) + 1) // 2  # names of networks are short: two share a row
    figure = against_share(lines, loss=f"loss on the {corpus} text, nats per token", said=said, rows=rows)
    note = "Points: measured. Lines: the fitted law."
    return Panel(corpus, f"Loss on the {corpus} text", level_table(found, corpus, at), figure, note)


def level_table(found: DcptFinding, corpus: Corpus, at: float) -> Table:
    """What a chart draws: the measured losses after so many tokens, and the law's."""
    fit, names = (found.domain if corpus == "domain" else found.general), {b.size: b.preset for b in found.bases}
    rows: list[tuple[Cell, ...]] = [
        (
            names.get(one.size),
            one.run,
            one.domain_share,
            getattr(one, corpus),
            float(fit.law.loss(one.size, at, getattr(one, f"{corpus}_share"))) if fit else None,
        )
        for one in found.observations
        if one.tokens == at
    ]
    headings = ("network", "run", "domain share", "measured", "law")
    return Table(f"Loss on the {corpus} text after {at * 1e9:,.0f} tokens, nats per token", headings, tuple(rows))


def points_table(found: DcptFinding) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (one.run, one.size * 1e9, round(one.tokens * 1e9), one.domain_share, one.general, one.domain)
        for one in found.observations
    ]
    headings = ("run", "parameters N", "tokens D", "domain share", "general loss", "domain loss")
    return Table("Every evaluation of the mixtures", headings, tuple(rows))


def fits_table(found: DcptFinding) -> Table:
    """Both laws and their quality."""
    rows: list[tuple[Cell, ...]] = []
    for name, fit in (("general", found.general), ("domain", found.domain)):
        if fit is None:
            continue
        law = fit.law.model_dump()
        rows.append(
            (name, fit.points, fit.r2, fit.max_relative_error, fit.huber, fit.condition, len(fit.violated), fit.aic,
             fit.aic_chinchilla, *law.values())
        )  # fmt: skip
    headings = (
        "text", "points", "R2", "largest relative error", "mean Huber loss (delta 0.001)", "condition number",
        "points that violate the law", "AIC", "AIC without the share",
        "E", "A", "B", "C", "alpha", "beta", "gamma", "eta", "epsilon",
    )  # fmt: skip
    return Table("Fitted laws; N and D in units of 10^9", headings, tuple(rows))


def held_out_table(found: DcptFinding) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, fold.by, fold.left_out, fold.points, fold.r2, fold.max_relative_error, fold.rank)
        for name, fit in (("general", found.general), ("domain", found.domain))
        if fit
        for fold in fit.held_out
    ]
    headings = ("text", "left out by", "left out", "points", "R2", "largest relative error", "rank correlation")
    return Table("Predicted by a fit without them", headings, tuple(rows))


def checks_table(found: DcptFinding) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            one.run,
            one.size * 1e9,
            one.domain_share,
            one.general,
            one.general_predicted,
            one.domain,
            one.domain_predicted,
        )
        for one in found.checks
    ]
    headings = ("run", "parameters N", "domain share", "general loss", "predicted", "domain loss", "predicted")
    return Table("Runs outside of the grid, not fitted", headings, tuple(rows))


def costs_table(found: DcptFinding) -> Table:
    """The bill of the grid, and apart from it what may be sunk."""
    costs = found.costs
    rows: tuple[tuple[Cell, ...], ...] = (
        ("mixtures of all runs", costs.mixtures, None, "training"),
        ("evaluations", costs.evaluations, None, "outside of training cost"),
        ("bases, once per run", costs.bases, None, "sunk where the base exists anyway"),
        ("training of all runs", None, costs.seconds, "wall clock"),
    )
    return Table("What the study cost", ("part", "executed FLOPs", "seconds", "counted"), rows)


def targets_table(found: DcptFinding) -> Table:
    """Executed FLOPs of mixtures for several target domains: each with a grid, or all by the law across domains."""
    rows: list[tuple[Cell, ...]] = []
    for count in TARGETS:
        own, across = found.costs.own(count), found.costs.across(count)
        rows.append((count, own, own / count, across, None if across is None else across / count))
    headings = (
        "target domains", "a grid for each", "per domain", f"{SOURCES} source grids and a probe for each", "per domain",
    )  # fmt: skip
    return Table("Executed FLOPs of the mixtures; arithmetic from the runs of this study", headings, tuple(rows))


def targets_note(found: DcptFinding) -> str:
    """What of that was measured, and what is taken for granted."""
    probe = found.costs.probe
    measured = f"Measured: the grid of the first domain, {notation.si(found.costs.grid, 'FLOP')}"
    if probe is None:
        return f"{measured}. What a probe costs is not known here."
    return (
        f"{measured}, and a probe, {notation.si(probe, 'FLOP')}: the smallest network at the largest share as far as "
        f"its first evaluation. Every other grid is taken to cost as much; {SOURCES} source domains as in the paper. "
        f"Bases and evaluations are left out."
    )
