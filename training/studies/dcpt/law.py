"""The D-CPT law and its fit: the loss of continual pre-training by model size, tokens and mixture.

Que et al. 2024, arXiv 2406.01375, the form the paper selects (L3). Torch-free.

Everywhere in this study N is the number of parameters outside of embeddings and head, in units of 10^9, D the tokens of
continual pre-training in units of 10^9, and r the share of the mixture that the corpus has whose loss is meant: of the
general text's where the general loss is, of the domain's where the domain loss is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.optimize import minimize, nnls
from threadpoolctl import threadpool_limits

from training.knobs import Strict

Floats = NDArray[np.float64]
DELTA = 1e-3
"""Where the Huber loss of a log residual turns from a square to a line; Chinchilla's value, inferred for this law."""
STARTS = 24
FIRST, KEPT = 60, 3
"""Iterations from every start, after which so many that are ahead go on to their minimum."""
NINE = 9
EXPONENTS = (0.02, 4.0)
OFFSETS = (1e-3, 1.0)
"""Bounds of alpha, beta, gamma and eta, and of epsilon."""
TYPICAL, PULL = 0.5, 3.0
"""Where the logarithms of exponents are drawn to, as by so many points: it settles only what the data leave open, such
as alpha from two sizes."""
LEAST = 1e-6
"""Smallest E and coefficients, in nats at the middle of the data."""


class Chinchilla(Strict):
    """E + A / N^alpha + B / D^beta: what the law is at one ratio, and the form it must beat."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, size: ArrayLike, tokens: ArrayLike) -> Floats:
        n, d = np.asarray(size, float), np.asarray(tokens, float)
        return np.asarray(self.E + self.A * n**-self.alpha + self.B * d**-self.beta)


class Law(Strict):
    """L(N, D, r) = E + A / N^alpha + B r^eta / D^beta + C / (r + epsilon)^gamma, all nine parameters positive."""

    E: float = Field(ge=0)
    A: float = Field(ge=0)
    B: float = Field(ge=0)
    C: float = Field(ge=0)
    alpha: float = Field(gt=0)
    beta: float = Field(gt=0)
    gamma: float = Field(gt=0)
    eta: float = Field(gt=0)
    epsilon: float = Field(gt=0)

    def loss(self, size: ArrayLike, tokens: ArrayLike, ratio: ArrayLike) -> Floats:
        """In nats per token; finite for every ratio in [0, 1]."""
        n, d, r = (np.asarray(value, float) for value in (size, tokens, ratio))
        learnt = self.B * r**self.eta * d**-self.beta
        return np.asarray(self.E + self.A * n**-self.alpha + learnt + self.C * (r + self.epsilon) ** -self.gamma)

    def by_size(self, size: ArrayLike) -> Floats:
        """dL/dN, negative everywhere."""
        return -self.alpha * self.A * np.asarray(size, float) ** (-self.alpha - 1)

    def by_tokens(self, tokens: ArrayLike, ratio: ArrayLike) -> Floats:
        """dL/dD, negative wherever r > 0, and 0 at r = 0."""
        d, r = np.asarray(tokens, float), np.asarray(ratio, float)
        return np.asarray(-self.beta * self.B * r**self.eta * d ** (-self.beta - 1))

    def by_tokens_and_ratio(self, tokens: ArrayLike, ratio: ArrayLike) -> Floats:
        """d2L/dDdr, negative wherever r > 0: more of a corpus makes its loss fall faster with tokens."""
        d, r = np.asarray(tokens, float), np.asarray(ratio, float)
        return -self.beta * self.eta * self.B * r ** (self.eta - 1) * d ** (-self.beta - 1)

    def by_ratio(self, tokens: ArrayLike, ratio: ArrayLike) -> Floats:
        """dL/dr, whose sign the form does not settle; infinite at r = 0 where eta < 1."""
        d, r = np.asarray(tokens, float), np.asarray(ratio, float)
        with np.errstate(divide="ignore"):
            learnt = self.eta * self.B * r ** (self.eta - 1) * d**-self.beta
        return np.asarray(learnt - self.gamma * self.C * (r + self.epsilon) ** (-self.gamma - 1))

    def at(self, ratio: float) -> Chinchilla:
        """The law at a fixed ratio."""
        floor = self.E + self.C * (ratio + self.epsilon) ** -self.gamma
        return Chinchilla(E=floor, A=self.A, B=self.B * ratio**self.eta, alpha=self.alpha, beta=self.beta)


@dataclass(frozen=True)
class Points:
    """Measured losses on one corpus: N and D in units of 10^9, r the share of that corpus, the loss in nats."""

    size: Floats
    tokens: Floats
    ratio: Floats
    loss: Floats

    def __len__(self) -> int:
        return self.loss.size

    def where(self, kept: NDArray[np.bool_]) -> Points:
        return Points(self.size[kept], self.tokens[kept], self.ratio[kept], self.loss[kept])

    def ordered(self) -> Points:
        """In an order of their own, so that a fit does not depend on that of the rows."""
        place = np.lexsort((self.loss, self.ratio, self.tokens, self.size))
        return Points(self.size[place], self.tokens[place], self.ratio[place], self.loss[place])


def fit(points: Points, *, seed: int = 0, starts: int = STARTS) -> Law:
    """The law with the least Huber loss of log residuals, over random starts.

    Each start draws exponents and epsilon, and takes the coefficients from a non-negative least-squares fit; L-BFGS
    then moves the logarithms of all nine. N and D are divided by their geometric means first, so that units change
    nothing but A and B.
    """
    points = points.ordered()
    size, tokens = middle(points.size), middle(points.tokens)
    centred = Points(points.size / size, points.tokens / tokens, points.ratio, points.loss)
    rng = np.random.default_rng(seed)
    found = best(lambda p: predictions(p, centred), (start(centred, rng) for _ in range(starts)), centred.loss)
    return law_of(found, size, tokens)


def law_of(p: Floats, size: float, tokens: float) -> Law:
    """From the logarithms of the nine, in units of the middle of the data, to the law in units of 10^9."""
    e, a, b, c, alpha, beta, gamma, eta, epsilon = np.exp(p[:NINE]).tolist()
    return Law(
        E=e, A=a * size**alpha, B=b * tokens**beta, C=c, alpha=alpha, beta=beta, gamma=gamma, eta=eta, epsilon=epsilon
    )


def middle(values: Floats) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values).mean()))


def fit_chinchilla(points: Points, *, seed: int = 0, starts: int = STARTS) -> Chinchilla:
    """The five-parameter form, which knows no ratio, fitted in the same way."""
    whole = Points(points.size, points.tokens, np.ones_like(points.ratio), points.loss)
    law = fit(
        whole, seed=seed, starts=starts
    )  # at r = 1 throughout, C and E are one constant and eta is without effect
    return law.at(1.0)


def huber(predicted: Floats, loss: Floats) -> float:
    """Mean Huber loss of log residuals at DELTA. How the paper sums its own is not known: never compare the two."""
    size = np.abs(np.log(predicted) - np.log(loss))
    return float(np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2)).mean())


def start(points: Points, rng: np.random.Generator, extra: Sequence[Floats] = ()) -> Floats:
    """Random exponents and epsilon, drawn in logarithms, and the coefficients that suit them; those of `extra` last."""
    alpha, beta, gamma, eta = np.exp(rng.uniform(np.log(0.05), np.log(2.0), 4))
    epsilon = np.exp(rng.uniform(np.log(0.01), np.log(0.5)))
    r = points.ratio
    terms = [np.ones_like(r), points.size**-alpha, r**eta * points.tokens**-beta, (r + epsilon) ** -gamma, *extra]
    found = np.maximum(nnls(np.stack(terms, axis=1) / points.loss[:, None], np.ones_like(r))[0], 1e-3)
    return np.log([*found[:4], alpha, beta, gamma, eta, epsilon, *found[4:]])


def limits(loss: Floats) -> Floats:
    """Least and greatest value of each parameter: the nine, then another coefficient and exponents or weights."""
    sizes = (LEAST, 10 * float(loss.max()))
    return np.array([sizes] * 4 + [EXPONENTS] * 4 + [OFFSETS] + [sizes] + [EXPONENTS] * 3)


def best(predict: Callable[[Floats], tuple[Floats, Floats]], starts: Iterable[Floats], loss: Floats) -> Floats:
    """The logarithms of the parameters at the lowest minimum that L-BFGS finds from these starts.

    `predict` gives losses and their derivatives. The first nine parameters are those of the law; any more are a
    coefficient first and exponents or weights after it.
    """
    target, pull = np.log(loss), PULL / loss.size
    bounds = np.log(limits(loss))

    def objective(p: Floats) -> tuple[float, Floats]:
        """Mean Huber loss of the log residuals in units of DELTA, and its gradient."""
        predicted, slopes = predict(p)
        residual = (np.log(predicted) - target) / DELTA
        size = np.abs(residual)
        pushes = np.clip(residual, -1, 1) / (predicted * DELTA * residual.size)
        gradient = (slopes * pushes).sum(axis=1)
        off = np.zeros_like(p)
        off[4:8] = p[4:8] - np.log(TYPICAL)
        value = float(np.where(size <= 1, residual**2 / 2, size - 0.5).mean())
        return value + pull / 2 * float((off**2).sum()), gradient + pull * off

    def descend(p: Floats, iterations: int) -> Any:
        own = bounds[: p.size]
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-12, "gtol": 1e-9, "maxcor": 20}
        inside = np.clip(p, *own.T)
        return minimize(objective, inside, jac=True, method="L-BFGS-B", bounds=own, options=options)

    with threadpool_limits(1):  # on so little data, waking the threads of BLAS takes thirty times as long as the fit
        ahead = sorted((descend(p, FIRST) for p in starts), key=lambda end: float(end.fun))[:KEPT]
        return np.asarray(min((descend(end.x, 2000) for end in ahead), key=lambda end: float(end.fun)).x)


def predictions(p: Floats, points: Points) -> tuple[Floats, Floats]:
    """Losses for the logarithms of the nine parameters, and their derivatives by these logarithms, [9, points]."""
    e, a, b, c, alpha, beta, gamma, eta, epsilon = np.exp(p[:NINE])
    r, log_n, log_d = points.ratio, np.log(points.size), np.log(points.tokens)
    log_r = np.log(np.maximum(r, 1e-300))  # its product with r^eta is 0 at r = 0
    log_shifted = np.log(r + epsilon)
    by_size, forgotten = a * np.exp(-alpha * log_n), c * np.exp(-gamma * log_shifted)
    learnt = b * r**eta * np.exp(-beta * log_d)
    slopes = np.stack(
        [
            np.full_like(r, e), by_size, learnt, forgotten, -alpha * log_n * by_size, -beta * log_d * learnt,
            -gamma * log_shifted * forgotten, eta * log_r * learnt, -gamma * epsilon / (r + epsilon) * forgotten,
        ]
    )  # fmt: skip
    return e + by_size + learnt + forgotten, slopes
