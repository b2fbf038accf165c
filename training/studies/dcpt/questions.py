"""The three questions that a pair of laws answers: which mixture, how to stretch scarce text, which network.

Que et al. 2024, its three uses. N and D in units of 10^9; r is the domain's share, and the general text has the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from training.studies.dcpt.law import Law

STEPS = 1000
"""Ratios that are tried, evenly from 0 to 1; the edge of what is allowed is then found between two of them."""
Loss = Callable[[float], float]
"""Of a mixture, by the domain's share."""


class Infeasible(ValueError):
    """No choice answers the question, and why."""


class Mixture(NamedTuple):
    """The best share of the domain within a limit on what the general loss may rise."""

    ratio: float
    domain: float
    general: float
    rise: float
    """Of the general loss, as a share of what it was before."""


class Stretch(NamedTuple):
    """The best share for a fixed amount of domain text, and all tokens that it then takes."""

    ratio: float
    tokens: float
    general_tokens: float
    domain: float


class Network(NamedTuple):
    """The best size and tokens for a budget of FLOPs."""

    size: float
    tokens: float
    loss: float


def trade_off(domain: Loss, general: Loss, *, before: float, limit: float) -> Mixture:
    """The share with the lowest domain loss whose general loss rises by less than `limit` of `before`."""

    def over(ratio: float) -> float:
        return (general(ratio) - before) / before - limit

    ratios = np.linspace(0, 1, STEPS + 1).tolist()
    above = [over(ratio) for ratio in ratios]
    allowed = [ratio for ratio, excess in zip(ratios, above, strict=True) if excess < 0]
    if not allowed:
        least = min(above) + limit
        raise Infeasible(
            f"no mixture keeps the general loss within {limit:.3g} of what it was: it rises by {least:.3g} at the least"
        )
    pairs = zip(ratios, ratios[1:], above, above[1:], strict=False)
    edges = [brentq(over, low, high) for low, high, first, second in pairs if (first < 0) != (second < 0)]
    found = min([*allowed, *edges], key=domain)
    return Mixture(found, domain(found), general(found), over(found) + limit)


def scarce(domain: Law, *, size: float, domain_tokens: float, general_tokens: float) -> Stretch:
    """The share with the lowest domain loss when all domain text is read once: D = domain_tokens / r.

    Never asks for more general text than there is; with none, everything is domain text.
    """
    least = domain_tokens / (domain_tokens + general_tokens)
    ratios = np.append(np.geomspace(least, 1, STEPS + 1)[:-1], 1.0)
    losses = domain.loss(size, domain_tokens / ratios, ratios)
    ratio = float(ratios[int(losses.argmin())])
    tokens = domain_tokens / ratio
    return Stretch(ratio, tokens, tokens - domain_tokens, float(losses.min()))


def compute(domain: Law, *, flops: float, ratio: float) -> Network:
    """The size and tokens with 6 N D = `flops` that reach the lowest domain loss at this share.

    In closed form, as of Chinchilla's law: N^(alpha + beta) = alpha A / (beta B) (C / 6)^beta.
    """
    at = domain.at(ratio)
    if at.A <= 0 or at.B <= 0:
        raise Infeasible("at this share more tokens of the mixture do not lower the domain's loss: no size is the best")
    product = flops / 6 / 1e18
    size = (at.alpha * at.A / (at.beta * at.B) * product**at.beta) ** (1 / (at.alpha + at.beta))
    return Network(size, product / size, float(at.loss(size, product / size)))
