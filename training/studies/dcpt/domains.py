"""The cross-domain form: one law for several domains, told apart by how learnable each is.

Que et al. 2024, section on the cross-domain law: L(N, D, r, K) = L(N, D, r) + F / K^mu with the coefficient
K = w1 / k1 + w2 k2, where k1 is a domain's validation loss before training and k2 how fast it falls at first. Whether a
large K means a domain that is easy to learn is told in two ways; the fit decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from training.knobs import Strict
from training.studies.dcpt.law import STARTS, Floats, Law, Points, best, law_of, middle, predictions, start


class Probe(Strict):
    """What a short run tells of a domain."""

    k1: float = Field(gt=0)
    """Validation loss before the domain is trained on, in nats."""
    k2: float = Field(gt=0)
    """How fast that loss falls at first, in nats per 10^9 tokens."""


class DomainLaw(Strict):
    """The law that domains share, and what each adds to it."""

    law: Law
    F: float
    mu: float
    w1: float
    w2: float

    def coefficient(self, probe: Probe) -> float:
        """K, the domain-specific learnable coefficient."""
        return self.w1 / probe.k1 + self.w2 * probe.k2

    def of(self, probe: Probe) -> Law:
        """The law of one domain, whether it was fitted on or only probed."""
        return self.law.model_copy(update={"E": self.law.E + self.F * self.coefficient(probe) ** -self.mu})


@dataclass(frozen=True)
class Measured:
    """A domain with its full grid."""

    probe: Probe
    points: Points


def fit(domains: Mapping[str, Measured], *, seed: int = 0, starts: int = STARTS) -> DomainLaw:
    """All thirteen parameters jointly, by the law's own fit; k1 and k2 are divided by their means over the points."""
    parts = [domains[name] for name in sorted(domains)]
    whole = joined([part.points for part in parts])
    counts = [len(part.points) for part in parts]
    k1 = np.repeat([part.probe.k1 for part in parts], counts)
    k2 = np.repeat([part.probe.k2 for part in parts], counts)
    n, d, first, second = middle(whole.size), middle(whole.tokens), middle(k1), middle(k2)
    points, inverse, rate = Points(whole.size / n, whole.tokens / d, whole.ratio, whole.loss), first / k1, k2 / second
    rng = np.random.default_rng(seed)

    def predict(p: Floats) -> tuple[Floats, Floats]:
        shared, slopes = predictions(p, points)
        f, mu, w1, w2 = np.exp(p[9:])
        k = w1 * inverse + w2 * rate
        term = f * k**-mu
        own = [term, -mu * np.log(k) * term, -mu * w1 * inverse / k * term, -mu * w2 * rate / k * term]
        return shared + term, np.vstack([slopes, own])

    def drawn() -> Floats:
        mu, w1, w2 = np.exp(rng.uniform(np.log(0.2), np.log(2.0), 3))
        return np.append(start(points, rng, [(w1 * inverse + w2 * rate) ** -mu]), np.log([mu, w1, w2]))

    found = best(predict, (drawn() for _ in range(starts)), points.loss)
    f, mu, w1, w2 = np.exp(found[9:]).tolist()
    return DomainLaw(law=law_of(found, n, d), F=f, mu=mu, w1=w1 * first, w2=w2 / second)


def joined(parts: Sequence[Points]) -> Points:
    """The points of several domains as one."""
    columns = ([getattr(part, name) for part in parts] for name in ("size", "tokens", "ratio", "loss"))
    return Points(*map(np.concatenate, columns))
