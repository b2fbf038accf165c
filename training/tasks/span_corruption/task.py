"""Span corruption on a corpus: sequences, loss, validation and the loss on the test part."""

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
from training.models.encoder_decoder import EncoderDecoderShape
from training.models.t5 import T5
from training.outcome import Outcome, Predictor
from training.records import Score
from training.seeds import derive
from training.spec import RunSpec
from training.tasks.span_corruption.corruption import END_ID, corrupt

HELD_OUT_SEQUENCES = 128
"""Sequences of the validation stream and of the test stream: few enough to be read twenty times in a run."""
AT_ONCE = 32
"""Of these, read at once."""


def load(
    spec: RunSpec, device: torch.device, *, cache_root: Path, data_root: Path, blob: Path | None, progress: Progress
) -> SpanCorruption:
    """The task on the spec's text, tokenised if nobody did before."""
    corpus = prepare(spec.data, cache_root=cache_root, data_root=data_root, blob=blob, progress=progress)
    return SpanCorruption(spec, corpus, device)


class SpanCorruption:
    """The training stream cut into sequences of `context` tokens, corrupted anew each time they come.

    The spans of a batch are drawn from torch's generator, which every phase restarts and every checkpoint keeps. The
    held-out parts, at most HELD_OUT_SEQUENCES evenly spread sequences each, are corrupted the same way every time.
    """

    def __init__(self, spec: RunSpec, corpus: Corpus, device: torch.device) -> None:
        self.spec, self.corpus, self.device = spec, corpus, device
        self.context = self.tokens_per_example = spec.data.context
        self.stream = corpus.tokens("train")
        self.size = len(self.stream) // self.context

    def build(self, shape: EncoderDecoderShape | None = None) -> nn.Module:
        """A freshly initialised network: the spec's, or of another shape."""
        return T5(shape or self.spec.shape).to(self.device)

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        """Sequences by number, corrupted: `source` [B, S] and `target` [B, T], int64, on the device."""
        return self._corrupted(self.stream, index.cpu().numpy(), seed=int(torch.randint(1 << 62, ())))

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy per token of the target, in nats."""
        return self._losses(model, batch).mean()

    def validate(self, predict: Predictor) -> dict[str, float]:
        """Mean cross-entropy per target token of the validation part, in nats."""
        return {"loss": float(self._held_out_losses(predict, "validation").mean())}

    def held_out(self, part: Split) -> dict[str, Tensor]:
        """At most HELD_OUT_SEQUENCES evenly spread sequences of a part, corrupted the same way for every run."""
        stream = self.corpus.tokens(part)
        size = len(stream) // self.context
        count = min(size, HELD_OUT_SEQUENCES)
        return self._corrupted(stream, np.arange(count) * size // max(1, count), seed=derive(0, "spans", part))

    def score(self, outcome: Outcome, evals: Sequence[str]) -> list[Score]:
        """Loss on the test part, per target token."""
        losses = self._held_out_losses(outcome.predict or outcome.model, "test").double()
        if not len(losses):
            return []
        stderr = float(losses.std() / math.sqrt(len(losses))) if len(losses) > 1 else None
        return [Score("span_corruption", "loss", "test", float(losses.mean()), stderr, len(losses), 1, False)]

    def _held_out_losses(self, predict: Predictor, part: Split) -> Tensor:
        """Mean loss of each held-out sequence, [N]."""
        batch, pieces = self.held_out(part), [torch.empty(0)]
        with torch.no_grad():
            for start in range(0, len(batch["source"]), AT_ONCE):
                few = {name: tensor[start : start + AT_ONCE] for name, tensor in batch.items()}
                pieces.append(self._losses(predict, few).mean(1).cpu())
        return torch.cat(pieces)

    def _losses(self, predict: Predictor, batch: dict[str, Tensor]) -> Tensor:
        """Cross-entropy of each target token, [B, T]; the decoder reads the target one place late, after an end."""
        target = batch["target"]
        written = F.pad(target[:, :-1], (1, 0), value=END_ID)
        logits = predict(batch["source"], written).float()
        return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)

    def _corrupted(self, stream: NDArray[np.uint16], index: NDArray[np.int64], *, seed: int) -> dict[str, Tensor]:
        """Sequences of a stream by number, with the spans of this seed taken out."""
        places = index[:, None] * self.context + np.arange(self.context)
        tokens = torch.from_numpy(stream[places].astype(np.int64))
        found = corrupt(tokens, self.spec.data.vocab_size, torch.Generator().manual_seed(seed))
        if self.device.type == "cuda":
            return {
                name: part.pin_memory().to(self.device, non_blocking=True) for name, part in found._asdict().items()
            }
        return found._asdict()
