"""What a method hands back to be judged. The judged never scores itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

Predictor = Callable[[Tensor], Tensor]
"""Inputs to logits, without gradients: tokens[B, T] to logits[B, T, V] for language models."""


@dataclass
class Outcome:
    """The trained model, and how to predict with it where that is not just calling it."""

    model: nn.Module
    predict: Predictor | None = None
    notes: dict[str, str] = field(default_factory=dict)
