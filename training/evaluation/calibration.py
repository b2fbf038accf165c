"""Calibration: how far confidence is from accuracy (Guo et al., arXiv:1706.04599, eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from training.records import Score

VERSION = 1
BINS = 15
RESAMPLES = 200


def score(logits: Tensor, labels: Tensor) -> list[Score]:
    """Expected calibration error over 15 bins of equal width; its error is the bootstrap's over images."""
    confidence, answers = logits.double().softmax(1).max(1)
    hits = (answers == labels).double()
    n = len(labels)
    drawn = torch.randint(n, (RESAMPLES, n), generator=torch.Generator().manual_seed(0))
    spread = torch.stack([ece(confidence[rows], hits[rows]) for rows in drawn]).std().item()
    return [Score("calibration", "ece", "test", ece(confidence, hits).item(), spread, n, VERSION, False)]


def ece(confidence: Tensor, hits: Tensor) -> Tensor:
    """Mean over images of |accuracy - confidence| of their bin; confidence[N] in (0, 1], hits[N] 0 or 1."""
    place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=confidence.dtype).index_add_(0, place, hits - confidence)
    return gaps.abs().sum() / len(hits)
