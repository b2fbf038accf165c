"""The law across domains at work: what a probe tells, and each domain predicted from its own by a law of the others."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

import numpy as np

from training.studies.dcpt.domains import DomainLaw, Measured, Probe, fit, joined
from training.studies.dcpt.finding import Across, Base, Domain, Observation, points
from training.studies.dcpt.law import Law, Points
from training.studies.dcpt.law import fit as fit_law
from training.studies.dcpt.quality import FOLD_STARTS, r2

Seen = tuple[Observation, ...]
LEAST = 3
"""Domains with a grid and a probe: one is left out, and a single one tells nothing of K."""
STARTS = 12
"""Random starts; more of them were seen to change no prediction."""


def probe(seen: Seen, known: tuple[Base, ...]) -> Probe | None:
    """k1 and k2 by the smallest network's first evaluation at the largest share, both of the means over seeds.

    None where it did not improve.
    """
    if not known or not (found := probing(seen)):
        return None
    rate = (known[0].domain - fmean(one.domain for one in found)) / found[0].tokens
    return Probe(k1=known[0].domain, k2=rate) if rate > 0 and found[0].size == known[0].size else None


def probing(seen: Seen) -> Seen:
    """The first evaluation of the smallest network at the largest share, of every seed."""
    ranks = [(one.size, -one.domain_share, one.tokens) for one in seen]
    return tuple(one for one, rank in zip(seen, ranks, strict=True) if rank == min(ranks))


def judged(domains: tuple[Domain, ...], *, probed: frozenset[str]) -> Across:
    """The law of all domains that have a grid, and every domain predicted without its own points.

    A domain of `probed` has no grid: all others predict it.
    """
    known = {
        one.text: Measured(one.probe, points(one.observations, "domain"))
        for one in domains
        if one.probe and one.text not in probed
    }
    if len(known) < LEAST:
        missing = f"{len(known)} domains have a grid and a loss that fell at first; a law across domains needs {LEAST}"
        return Across(law=None, domains=domains, missing=missing)
    law = fit(known, starts=STARTS)
    return Across(law=law, domains=tuple(_predicted(one, law, known) for one in domains))


def beyond(found: Across, *, probed: frozenset[str]) -> list[str]:
    """Which of the probed domains are extrapolated: their K lies outside of what the law was fitted on."""
    known = {one.text: one.coefficient for one in found.domains if one.coefficient is not None}
    grids = [value for text, value in known.items() if text not in probed]
    return [
        f"{text} is extrapolated: its K of {value:.3g} lies outside those of the grids, "
        f"{min(grids):.3g} to {max(grids):.3g}."
        for text, value in known.items()
        if text in probed and not min(grids) <= value <= max(grids)
    ]


def _predicted(domain: Domain, law: DomainLaw, known: Mapping[str, Measured]) -> Domain:
    """From its probe, by the law of the other domains; as it is where there is no probe."""
    if domain.probe is None:
        return domain
    others = {text: found for text, found in known.items() if text != domain.text}
    told = (fit(others, starts=STARTS) if domain.text in known else law).of(domain.probe)
    blind = fit_law(joined([found.points for found in others.values()]), starts=FOLD_STARTS)
    used = probing(domain.observations)
    unseen = points(tuple(one for one in domain.observations if one not in used), "domain")
    return domain.model_copy(
        update={
            "coefficient": law.coefficient(domain.probe),
            "predicted": told,
            "points": len(unseen),
            **_against(told, unseen),
            **{f"blind_{name}": value for name, value in _against(blind, unseen).items()},
        }
    )


def _against(law: Law, unseen: Points) -> dict[str, float | None]:
    if not len(unseen):
        return {}
    predicted = law.loss(unseen.size, unseen.tokens, unseen.ratio)
    return {
        "r2": r2(predicted, unseen.loss),
        "max_relative_error": float(np.abs(predicted / unseen.loss - 1).max()),
    }
