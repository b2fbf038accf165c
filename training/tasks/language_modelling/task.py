"""Next-token prediction on a corpus: sequences, loss, validation and what a finished model is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.corpus import Corpus
from training.data.prepare import prepare
from training.data.progress import Progress
from training.data.sotu import Split
from training.evaluation import suite
from training.evaluation.finished import Finished
from training.evaluation.scoring import log_likelihoods
from training.models.build import build
from training.models.shape import Shape
from training.outcome import Outcome, Predictor
from training.records import Score
from training.spec import RunSpec

HELD_OUT_SEQUENCES = 64
"""Sequences of the validation stream and of the test stream: few enough to be read twenty times in a run."""


def load(
    spec: RunSpec, device: torch.device, *, cache_root: Path, data_root: Path, blob: Path | None, progress: Progress
) -> LanguageModelling:
    """The task on the spec's text, tokenised if nobody did before."""
    corpus = prepare(spec.data, cache_root=cache_root, data_root=data_root, blob=blob, progress=progress)
    return LanguageModelling(spec, corpus, device)


class LanguageModelling:
    """The training stream cut into sequences of `context` tokens, each with the token after it.

    Which sequence comes when is an `Order`'s decision. Validation reads the same tokens for every method: at most
    HELD_OUT_SEQUENCES sequences, evenly spread over the validation part.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.corpus, self.device = spec, corpus, device
        self.context = self.tokens_per_example = spec.data.context
        self.stream = corpus.tokens("train")
        self.size = (len(self.stream) - 1) // self.context

    def build(self, shape: Shape | None = None) -> nn.Module:
        """A freshly initialised network: the spec's, or of another shape."""
        return build(shape or self.spec.shape).to(self.device)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Sequences by number: `tokens`, int64 [B, context + 1], on the device."""
        return {"tokens": self._sequences(self.stream, index.cpu().numpy())}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy per token, in nats."""
        inputs, targets = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
        logits: Tensor = model(inputs)
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def validate(self, predict: Predictor) -> dict[str, float]:
        """Mean cross-entropy per token of the validation stream, in nats."""
        return {"loss": float(self._losses(predict, self.held_out("validation")).mean())}

    def held_out(self, part: Split) -> Tensor:
        """At most HELD_OUT_SEQUENCES evenly spread sequences of a part, [N, context + 1]."""
        stream = self.corpus.tokens(part)
        size = max(0, (len(stream) - 1) // self.context)
        count = min(size, HELD_OUT_SEQUENCES)
        return self._sequences(stream, np.arange(count) * size // max(1, count))

    def bits_per_byte(self, loss: float, tokens: Tensor) -> float:
        """A loss in nats per token as bits per byte of the text that was predicted, so that tokenizers compare."""
        predicted = tokens[:, 1:].cpu().numpy()
        return loss * predicted.size / math.log(2) / int(self.corpus.byte_lengths[predicted].sum())

    def score(self, outcome: Outcome, evals: Sequence[str]) -> list[Score]:
        """Loss on the test part and the chosen downstream tasks."""
        predict = outcome.predict or outcome.model
        scores: list[Score] = []
        if len(tokens := self.held_out("test")):
            losses = self._losses(predict, tokens).double()
            loss = float(losses.mean())
            stderr = float(losses.std() / math.sqrt(len(losses))) if len(losses) > 1 else None
            for metric, rate in (("loss", 1.0), ("bits_per_byte", self.bits_per_byte(1.0, tokens))):
                error = None if stderr is None else stderr * rate
                scores.append(Score("language_modelling", metric, "test", loss * rate, error, len(losses), 1, False))
        vocabulary = self.spec.data.vocab_size
        finished = Finished(outcome.model, predict, self.corpus, self.context, vocabulary, self.device)
        with torch.no_grad():
            return scores + suite.judge(finished, evals)

    def _losses(self, predict: Predictor, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of each sequence, [N]."""
        with torch.no_grad():
            return -log_likelihoods(predict, tokens, vocabulary=self.spec.data.vocab_size)[0].mean(1)

    def _sequences(self, stream: NDArray[np.uint16], index: NDArray[np.int64]) -> Tensor:
        """Sequences of a stream by number, on the device."""
        places = index[:, None] * self.context + np.arange(self.context + 1)
        tokens = torch.from_numpy(stream[places].astype(np.int64))
        return tokens.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tokens
