"""What a study of the D-CPT law shows of several domains: each one's loss, and what a law of the others made of it."""

from __future__ import annotations

from training.studies.dcpt.domains import DomainLaw
from training.studies.dcpt.finding import Across, Domain, Observation
from webapp.results.figures import Figure
from webapp.results.panels import Panel
from webapp.results.study_lines import SHARES, Line, against_share
from webapp.results.tables import Cell, Table

NOTE = (
    "R2 and errors are of all points of a domain but those of its probe; without K, a law of the same other domains is "
    "told nothing of this one."
)


def panels(across: Across, at: float) -> list[Panel]:
    """The chart after so many tokens, how each domain was predicted, and the law; no chart where there is no law."""
    predicted = Panel("domains", "Predicted from a probe", domains_table(across), note=NOTE)
    if across.law is None:
        missing = across.missing[:1].upper() + across.missing[1:]
        return [Panel("domains", "Across domains", domains_table(across), note=f"{missing}.")]
    return [
        Panel(
            "across", "Across domains", drawn_table(across, at), chart(across, at),
            "Points: measured, with the largest network of each. Lines: a law of the other domains, told its probe.",
        ),
        predicted,
        Panel("law", "The law across domains", law_table(across.law)),
    ]  # fmt: skip


def drawn(domain: Domain, at: float) -> list[Observation]:
    """Measured after so many tokens, by the largest network that this domain has."""
    size = max((one.size for one in domain.observations), default=0.0)
    return [one for one in domain.observations if (one.size, one.tokens) == (size, at)]


def chart(across: Across, at: float) -> Figure:
    """The loss of every domain against its share of the mixture."""
    lines = []
    for domain in across.domains:
        seen = drawn(domain, at)
        law = domain.predicted.loss(seen[0].size, at, SHARES) if domain.predicted and seen else None
        lines.append(Line(domain.text, [one.domain_share for one in seen], [one.domain for one in seen], law))
    said = (
        f"Loss on each domain against its share, after {at * 1e9:,.0f} tokens: measured, and predicted from its probe."
    )
    return against_share(lines, loss="loss on the domain, nats per byte", said=said, rows=len(lines))


def drawn_table(across: Across, at: float) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            domain.text,
            one.run,
            one.size * 1e9,
            one.domain_share,
            one.domain,
            float(domain.predicted.loss(one.size, at, one.domain_share)) if domain.predicted else None,
        )
        for domain in across.domains
        for one in drawn(domain, at)
    ]
    headings = ("domain", "run", "parameters N", "domain share", "measured", "predicted from its probe")
    return Table(f"Loss on each domain after {at * 1e9:,.0f} tokens, nats per byte", headings, tuple(rows))


def domains_table(across: Across) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            one.text,
            one.probe.k1 if one.probe else None,
            one.probe.k2 if one.probe else None,
            one.coefficient,
            one.points or None,
            one.r2,
            one.max_relative_error,
            one.blind_r2,
            one.blind_max_relative_error,
        )
        for one in across.domains
    ]
    headings = (
        "domain", "k1: loss before", "k2: its fall at first, per 10^9 tokens", "K", "points predicted", "R2",
        "largest relative error", "R2 without K", "largest relative error without K",
    )  # fmt: skip
    return Table("Each domain predicted from its probe, by a law of the others", headings, tuple(rows))


def law_table(law: DomainLaw) -> Table:
    whole = {**law.law.model_dump(), "F": law.F, "mu": law.mu, "w1": law.w1, "w2": law.w2}
    return Table("Fitted on all domains with a grid; N and D in units of 10^9", tuple(whole), (tuple(whole.values()),))
