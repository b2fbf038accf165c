"""What the downstream tasks look at: a finished model, how it predicts, and the corpus it learnt from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from training.data.corpus import Corpus
from training.outcome import Predictor

Item = TypeVar("Item")
ENOUGH = 20
"""Fewest items for a score: a share of fewer tells nothing."""


@dataclass(frozen=True)
class Finished:
    """A trained model in evaluation mode."""

    model: nn.Module
    predict: Predictor
    corpus: Corpus
    context: int
    vocabulary: int
    device: torch.device

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        return [encoding.ids for encoding in self.corpus.tokenizer.encode_batch_fast(list(texts))]


def binomial_stderr(share: float, n: int) -> float:
    """Standard error of a share of n independent hits."""
    return math.sqrt(share * (1 - share) / n)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, evenly spread, in their order."""
    count = min(count, len(items))
    return [items[position * len(items) // count] for position in range(count)]
