"""From a shape to a network."""

from __future__ import annotations

from training.models.decoder import Decoder
from training.models.gpt2 import GPT2
from training.models.llama import Llama
from training.models.shape import Shape

FAMILIES: dict[str, type[Decoder]] = {"gpt2": GPT2, "llama": Llama}


def build(shape: Shape) -> Decoder:
    """A freshly initialised network of this shape; draws from torch's global generator."""
    return FAMILIES[shape.family](shape)
