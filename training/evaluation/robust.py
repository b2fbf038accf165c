"""Robust accuracy: the share of held-out images that no attack within an L-infinity ball turns.

Attacks: one signed step and projected gradient ascent from random starts, on the cross-entropy and on the margin, and
on whatever losses the method offers for an adaptive attack. An image counts as robust if it is classified rightly as
it is and after every attack; so the score is the minimum over attacks per image, and an upper bound of the true one.
Radii nest: what falls within a small ball has fallen within a larger one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.evaluation.finished import binomial_stderr
from training.outcome import Outcome, Predictor
from training.parts.pgd import evaluating, fgsm, pgd
from training.records import Score
from training.seeds import derive

VERSION = 1
RADII = {"0.02": 0.02, "8_255": 8 / 255, "0.1": 0.1}
"""By their names in the metric, smallest first, in units of a pixel's range."""
STEPS, RESTARTS = 20, 2
ITEMS = 200
"""Most images attacked."""
BATCH = 200

Loss = Callable[[Tensor, Tensor], Tensor]
"""images[B, C, H, W] and labels[B] to what an attacker raises, [B]; differentiable."""


def score(outcome: Outcome, predict: Predictor, images: Tensor, labels: Tensor) -> list[Score]:
    """Accuracy under attack at each radius, on images[N, C, H, W] in [0, 1] with their true labels[N]."""
    standing = survivors(outcome, predict, images, labels)
    n, shares = len(labels), standing.double().mean(1).tolist()
    return [
        Score("robust", f"acc_linf_{name}", "test", share, binomial_stderr(share, n), n, VERSION, True)
        for name, share in zip(RADII, shares, strict=True)
    ]


def survivors(outcome: Outcome, predict: Predictor, images: Tensor, labels: Tensor) -> Tensor:
    """Which images stand at each radius, bool [radii, N]; the same starts are drawn for every model."""
    losses = {**white_box(outcome.model), **outcome.attacks}
    rows: list[Tensor] = []
    with evaluating(outcome.model), torch.random.fork_rng(devices=_devices(images)):
        torch.manual_seed(derive(0, "robust"))
        standing = right(predict, images, labels)
        for eps in RADII.values():
            for loss, attack in product(losses.values(), attacks(eps)):
                standing = stands(predict, partial(attack, loss), images, labels, standing)
            rows.append(standing)
    return torch.stack(rows)


def attacks(eps: float) -> list[Callable[[Loss, Tensor, Tensor], Tensor]]:
    """Each takes a loss, images and labels, and gives images that are at most `eps` away."""

    def once(loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
        return fgsm(lambda some: loss(some, labels), images, eps=eps)

    def often(loss: Loss, images: Tensor, labels: Tensor) -> Tensor:
        step = 2.5 * eps / STEPS
        return pgd(lambda some: loss(some, labels), images, eps=eps, step=step, steps=STEPS, random_start=True)

    return [once, *[often] * RESTARTS]


def stands(
    predict: Predictor,
    attack: Callable[[Tensor, Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    standing: Tensor,
) -> Tensor:
    """Which of the images standing before, bool [N], the attack does not turn."""
    left = standing.nonzero().squeeze(1)
    after = torch.zeros_like(standing)
    for first in range(0, len(left), BATCH):
        some = left[first : first + BATCH]
        after[some] = right(predict, attack(images[some], labels[some]), labels[some])
    return after


def white_box(model: nn.Module) -> dict[str, Loss]:
    """The losses that need nothing but the model's own logits."""
    return {
        "cross-entropy": lambda images, labels: F.cross_entropy(model(images).float(), labels, reduction="none"),
        "margin": lambda images, labels: margin(model(images).float(), labels),
    }


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best wrong logit less the true one, [B] (Carlini and Wagner, arXiv:1608.04644): above 0 is misclassified."""
    true = logits.gather(1, labels[:, None]).squeeze(1)
    return logits.scatter(1, labels[:, None], float("-inf")).amax(1) - true


def right(predict: Predictor, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return predict(images).argmax(1) == labels


def _devices(images: Tensor) -> list[torch.device]:
    return [images.device] if images.device.type == "cuda" else []
