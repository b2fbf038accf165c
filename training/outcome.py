"""What a method hands back to be judged. The judged never scores itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

Predictor = Callable[..., Tensor]
"""Inputs to logits, without gradients: tokens[B, T] to logits[B, T, V], or images[B, C, H, W] to logits[B, K].

An encoder-decoder takes two inputs: what is read, and what was written so far.
"""


@dataclass
class Outcome:
    """The trained model, and how to predict with it where that is not just calling it."""

    model: nn.Module
    predict: Predictor | None = None
    points: dict[str, Predictor] = field(default_factory=dict)
    """Operating points by name: smaller networks within this one, scored beside it as `loss@<name>`."""
    attacks: dict[str, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    """Losses that an adaptive attacker of a classifier would raise, beside those of the model's own logits.

    images[B, C, H, W] in [0, 1] and labels[B] to [B], differentiable with respect to the images.
    """
    cuts: dict[str, nn.Module] = field(default_factory=dict)
    """Networks that were cut out of the model, by name; their weights are kept beside its own."""
    notes: dict[str, str] = field(default_factory=dict)
    """What the run came to, in words by name: events of the run, on its page and in the API."""
