"""Next-token prediction on two texts: the examples of both, and held-out losses of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor, nn

from training.data.mixture import Corpora, prepare
from training.data.progress import Progress
from training.models.shape import Shape
from training.outcome import Outcome, Predictor
from training.records import Score
from training.spec import RunSpec
from training.tasks.language_modelling.task import LanguageModelling


def load(
    spec: RunSpec, device: torch.device, *, cache_root: Path, data_root: Path, blob: Path | None, progress: Progress
) -> TextMixture:
    """The task on the spec's two texts, tokenised alike if nobody did before."""
    corpora = prepare(spec.data, cache_root=cache_root, data_root=data_root, blob=blob, progress=progress)
    return TextMixture(spec, corpora, device)


class TextMixture:
    """Sequences of the general text, numbered from 0, and after them those of the domain: an `Order` mixes them."""

    def __init__(self, spec: RunSpec, corpora: Corpora, device: torch.device) -> None:
        self.general = LanguageModelling(spec, corpora.general, device)
        self.domain = LanguageModelling(spec, corpora.domain, device)
        self.tokens_per_example = spec.data.context
        self.size = self.general.size + self.domain.size
        self.pools = torch.arange(self.general.size), torch.arange(self.general.size, self.size)
        """Examples of the general text and of the domain."""

    def build(self, shape: Shape | None = None) -> nn.Module:
        return self.general.build(shape)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Sequences by number, in their order: `tokens`, int64 [B, context + 1], on the device."""
        where = index.cpu() >= self.general.size
        general, domain = index[~where], index[where] - self.general.size
        rows = torch.cat([self.general.batch(general)["tokens"], self.domain.batch(domain)["tokens"]])
        place = torch.argsort(torch.argsort(where.long(), stable=True))
        return {"tokens": rows[place.to(rows.device)]}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy per token of the mixture, in nats."""
        return self.general.loss(model, batch)

    def validate(self, predict: Predictor) -> dict[str, float]:
        """Mean cross-entropy per token, in nats: of each text's validation stream, and the mean of the two."""
        each = {"general": self.general.validate(predict)["loss"], "domain": self.domain.validate(predict)["loss"]}
        return {"loss": fmean(each.values()), **each}

    def score(self, outcome: Outcome, evals: Sequence[str]) -> list[Score]:
        """Losses on the test part of each text."""
        parts = {"general": self.general, "domain": self.domain}
        return [replace(score, task=name) for name, part in parts.items() for score in part.score(outcome, ())]
