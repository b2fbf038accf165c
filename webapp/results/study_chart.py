"""What a study of the D-CPT law shows: loss against share with the fitted lines, and its tables."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from training.studies.dcpt.finding import DcptFinding
from webapp.results import notation
from webapp.results.figures import Figure, plain
from webapp.results.panels import Panel
from webapp.results.tables import Cell, Table

Corpus = Literal["domain", "general"]
SHARES = np.linspace(0, 1, 101)


def levels(found: DcptFinding) -> list[float]:
    """Tokens at which the runs were evaluated, in units of 10^9, ascending."""
    return sorted({one.tokens for one in found.observations})


def surface(found: DcptFinding, corpus: Corpus, at: float) -> Panel:
    """Loss on one text against the domain's share, after so many tokens: measured points and the fitted line."""
    fit = found.domain if corpus == "domain" else found.general
    traces: list[dict[str, Any]] = []
    for place, base in enumerate(found.bases):
        seen = [one for one in found.observations if one.size == base.size and one.tokens == at]
        points = {"x": [one.domain_share for one in seen], "y": [getattr(one, corpus) for one in seen]}
        traces.append({**points, "name": f"{base.preset}, measured", "meta": {"arm": place, "role": "point"}})
        if fit:
            shares = SHARES if corpus == "domain" else 1 - SHARES
            line = {"x": plain(SHARES), "y": plain(fit.law.loss(base.size, at, shares))}
            traces.append({**line, "name": f"{base.preset}, law", "meta": {"arm": place, "role": "mean"}})
    layout = {
        "xaxis": {"title": {"text": "share of the domain in the mixture"}, "range": [-0.03, 1.03]},
        "yaxis": {"title": {"text": f"loss on the {corpus} text, nats per token"}},
        "hovermode": "closest",
    }
    said = f"Loss on the {corpus} text against the share of the domain, after {at * 1e9:,.0f} tokens."
    title = f"Loss on the {corpus} text"
    return Panel(corpus, title, points_table(found), Figure({"data": traces, "layout": layout}, said))


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
        ("mixtures of all runs", notation.si(costs.mixtures, "FLOP"), "executed"),
        ("evaluations", notation.si(costs.evaluations, "FLOP"), "executed; outside of training cost"),
        ("bases, once per run", notation.si(costs.bases, "FLOP"), "executed; sunk where the base exists anyway"),
        ("training time of all runs", notation.duration(costs.seconds), ""),
    )
    return Table("What the study cost", ("part", "cost", "counted"), rows)
