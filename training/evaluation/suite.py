"""The downstream tasks of language models by name. All are offline, on real held-out text, the same for every arm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from training.data.corpus import Corpus
from training.outcome import Predictor
from training.records import Score
from training.spec import RunSpec


def judge(
    model: nn.Module, predict: Predictor, corpus: Corpus, evals: Sequence[str], *, spec: RunSpec, device: torch.device
) -> list[Score]:
    """The scores of the tasks named in `evals`; a task for which the held-out text is too short gives none."""
    return []
