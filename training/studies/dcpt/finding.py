"""What the D-CPT study concludes: the measured points, two laws, and the numbers that its questions start from."""

from __future__ import annotations

import numpy as np

from training.knobs import Strict
from training.studies.dcpt import questions
from training.studies.dcpt.domains import DomainLaw, Probe
from training.studies.dcpt.law import Law, Points
from training.studies.dcpt.quality import Fit
from training.study import Finding

SOURCES = 4
"""Domains with a full grid that the law across domains is fitted on; so many in the paper."""


class Observation(Strict):
    """Both losses at one evaluation of one run; N and D in units of 10^9."""

    run: str
    size: float
    tokens: float
    domain_share: float
    general: float
    domain: float

    @property
    def general_share(self) -> float:
        return 1 - self.domain_share


def points(seen: tuple[Observation, ...], corpus: str) -> Points:
    """As a fit takes them: the share is that of the corpus whose loss it is."""
    columns = ("size", "tokens", f"{corpus}_share", corpus)
    return Points(*(np.array([getattr(one, name) for one in seen], float) for name in columns))


class Base(Strict):
    """Losses of a network before the mixture, mean over its runs."""

    preset: str
    size: float
    general: float
    domain: float


class Check(Strict):
    """A run at a share outside of the grid, left out of the fits: what they predict of its end, and what it is."""

    run: str
    size: float
    tokens: float
    domain_share: float
    general: float
    general_predicted: float
    domain: float
    domain_predicted: float


class Costs(Strict):
    """Executed FLOPs of all runs, failed ones among them, and seconds of training."""

    mixtures: float
    bases: float
    """Trained once per run here; sunk where they exist anyway."""
    evaluations: float
    seconds: float
    probe: float | None = None
    """Of a new domain, for the law across domains: a short run of the smallest network. None where none has ended."""
    others: float = 0.0
    """Of the mixtures, those of further domains."""

    @property
    def grid(self) -> float:
        """Of the mixtures, those of the study's first domain."""
        return self.mixtures - self.others

    def own(self, targets: int) -> float:
        """Of so many target domains with a grid each as dear as this one."""
        return targets * self.grid

    def across(self, targets: int) -> float | None:
        """Of the grids of SOURCES domains, each as dear as this one, and a probe of each target; None if unknown."""
        return None if self.probe is None else SOURCES * self.grid + targets * self.probe


class Domain(Strict):
    """A domain by the law across domains: what its probe told, and what a law of the others made of that."""

    text: str
    observations: tuple[Observation, ...]
    probe: Probe | None
    """None where its loss did not fall at first."""
    coefficient: float | None = None
    """K, by the law of all domains with a grid."""
    predicted: Law | None = None
    """The domain loss from its probe, by a law fitted without it."""
    points: int = 0
    """On which that is judged: all but those of the probe."""
    r2: float | None = None
    max_relative_error: float | None = None
    blind_r2: float | None = None
    """Of the same points, by a law of the other domains that knows nothing of this one."""
    blind_max_relative_error: float | None = None


class Across(Strict):
    """The law across domains, or `missing` says why there is none."""

    law: DomainLaw | None
    domains: tuple[Domain, ...]
    missing: str = ""


class DcptFinding(Finding):
    """Laws of both losses, or `missing` says why there are none."""

    observations: tuple[Observation, ...]
    bases: tuple[Base, ...]
    general: Fit | None
    domain: Fit | None
    probe: Probe | None
    """Of the domain: k1 and k2 of the form across domains, by the smallest network at the largest share."""
    checks: tuple[Check, ...]
    costs: Costs
    across: Across | None = None
    """None where the study has one domain."""

    def base(self, size: float) -> Base:
        """That of the measured network whose size is nearest."""
        return min(self.bases, key=lambda base: abs(base.size / size - 1))

    def reaches(self, size: float, tokens: float) -> bool:
        """Whether a network and its tokens lie within what was measured."""
        sizes, seen = [one.size for one in self.observations], [one.tokens for one in self.observations]
        return min(sizes) <= size <= max(sizes) * 1.001 and min(seen) <= tokens <= max(seen) * 1.001

    def trade_off(self, *, size: float, tokens: float, limit: float, before: float | None = None) -> questions.Mixture:
        """The best share within a limit on the general loss; Infeasible if there is none."""
        assert self.general
        assert self.domain
        general, domain = self.general.law, self.domain.law
        return questions.trade_off(
            lambda r: float(domain.loss(size, tokens, r)),
            lambda r: float(general.loss(size, tokens, 1 - r)),
            before=self.base(size).general if before is None else before,
            limit=limit,
        )
