"""The ensemble: experts with two heads, and how they answer together."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.methods.soe.card import SoeKnobs
from training.models.classifier import Classifier


class Said(NamedTuple):
    """What the experts say of a batch, in fp32 whatever they compute in: choices and losses compare small numbers."""

    logits: Tensor
    """[M, B, K]."""
    confidence: Tensor
    """Of the confidence heads, before the sigmoid, [M, B]; empty for ensembles without."""


class Experts(nn.Module):
    """M classifiers. With confidence heads the most confident one answers, else their mean does."""

    def __init__(self, networks: list[nn.Module], knobs: SoeKnobs) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.chooses = knobs.ensemble == "soe"
        self.heads, self.trunks = nn.ModuleList(), nn.ModuleList()
        if self.chooses:
            for network in networks:
                assert isinstance(network, Classifier)
                self.heads.append(nn.Linear(network.shape.features, 1))
                if knobs.head == "complex":
                    self.trunks.append(copy.deepcopy(nn.Sequential(*network.blocks, network.pool)))

    def one(self, i: int, images: Tensor) -> Tensor:
        """Expert i's logits, [B, K]."""
        logits: Tensor = self.networks[i](images)
        return logits

    def say(self, images: Tensor) -> Said:
        if not self.chooses:
            return Said(torch.stack([network(images) for network in self.networks]).float(), images.new_empty(0))
        logits, confidence = [], []
        for i, network in enumerate(self.networks):
            assert isinstance(network, Classifier)
            stem = network.stem(images)
            x = stem
            for block in network.blocks:
                x = block(x)
            features = network.pool(x)
            logits.append(network.head(features))
            own = self.trunks[i](stem) if self.trunks else features
            confidence.append(self.heads[i](own).squeeze(1))
        return Said(torch.stack(logits).float(), torch.stack(confidence).float())

    def forward(self, images: Tensor) -> Tensor:
        """The chosen expert's logits, [B, K]; or the logarithm of the mean probability."""
        said = self.say(images)
        return answer(said) if self.chooses else mean(said.logits)


def rectified(said: Said) -> Tensor:
    """R = max softmax(z) x sigmoid(a), [M, B]."""
    return said.logits.softmax(-1).amax(-1) * said.confidence.sigmoid()


def answer(said: Said) -> Tensor:
    """The logits of the expert with the highest R, [B, K]; the choice carries no gradient."""
    chosen = rectified(said).argmax(0)
    return said.logits[chosen, torch.arange(len(chosen), device=chosen.device)]


def softened(said: Said, sharpness: float = 10.0) -> Tensor:
    """A differentiable stand-in for the answer: logits weighted by softmax(sharpness x R), [B, K]."""
    return (torch.softmax(sharpness * rectified(said), 0)[:, :, None] * said.logits).sum(0)


def mean(logits: Tensor) -> Tensor:
    """Logarithm of the mean probability, [M, B, K] to [B, K]: a loss of it is the averaged ensemble's."""
    return logits.log_softmax(-1).logsumexp(0) - torch.log(torch.tensor(float(len(logits))))


def synergy(said: Said, labels: Tensor, knobs: SoeKnobs) -> Tensor:
    """The loss of one set of images: weighted cross-entropies, and the confidence heads' own.

    Weights and targets carry no gradient; the favourite's probability carries none either where the expert is right,
    so that the confidence head takes up the correction there (official code).
    """
    every = labels.expand(said.logits.shape[:2])
    losses = F.cross_entropy(said.logits.flatten(0, 1), every.flatten(), reduction="none").view_as(every)
    probabilities = said.logits.softmax(-1)
    favourite, truth = probabilities.amax(-1), probabilities.gather(-1, every[..., None]).squeeze(-1).detach()
    right = said.logits.argmax(-1) == every
    confidence = torch.where(right, favourite.detach(), favourite) * said.confidence.sigmoid()
    with exactly(truth):
        own = F.binary_cross_entropy(confidence.clamp(1e-6, 1 - 1e-6), truth)
    return (importance(said, losses, knobs) * losses).sum(0).mean() + knobs.confidence_loss * own


def exactly(like: Tensor) -> AbstractContextManager[Any]:
    """No autocast: CUDA refuses a cross-entropy of probabilities under it, and bf16 makes a Gram matrix indefinite."""
    return torch.autocast(like.device.type, enabled=False)


def importance(said: Said, losses: Tensor, knobs: SoeKnobs) -> Tensor:
    """Weights of the experts' losses, [M, B], without gradient."""
    if knobs.weights == "sum":
        return torch.ones_like(losses)
    score = rectified(said) if knobs.weights == "predicted" else -losses
    return torch.softmax(knobs.temperature * score, 0).detach()


def diverse(logits: Tensor, labels: Tensor, knobs: SoeKnobs) -> Tensor:
    """ADP: entropy of the mean, and the volume that the experts' wrong-class probabilities span, per image, mean.

    Pang et al., "Improving adversarial robustness via promoting ensemble diversity", 2019, equations 3 to 5.
    """
    probabilities = logits.softmax(-1)
    average = probabilities.mean(0)
    entropy = -(average * (average + 1e-12).log()).sum(-1)
    others = torch.ones_like(average, dtype=torch.bool).scatter(1, labels[:, None], False)
    wrong = probabilities.masked_select(others).view(*probabilities.shape[:2], -1)
    unit = F.normalize(wrong, dim=-1).transpose(0, 1)
    with exactly(unit):
        gram = unit @ unit.transpose(1, 2) + 1e-6 * torch.eye(unit.shape[1], device=unit.device)
        volume = torch.logdet(gram)
    return (knobs.entropy * entropy + knobs.diversity * volume).mean()


def alignment(gradients: list[Tensor]) -> Tensor:
    """GAL: log of the summed exponentials of the cosines between experts' image gradients, mean over images."""
    unit = F.normalize(torch.stack([gradient.flatten(1) for gradient in gradients]), dim=-1, eps=1e-12)
    pairs = torch.triu_indices(len(gradients), len(gradients), 1, device=unit.device)
    cosines = (unit[pairs[0]] * unit[pairs[1]]).sum(-1)
    return cosines.logsumexp(0).mean()
