"""From a shape to a network."""

from __future__ import annotations

from typing import overload

from training.models.classifier import Classifier
from training.models.cnn import CNN
from training.models.decoder import Decoder
from training.models.gpt2 import GPT2
from training.models.images import ImageShape
from training.models.llama import Llama
from training.models.resnet import ResNet
from training.models.shape import Shape
from training.models.vit import ViT

FAMILIES: dict[str, type[Decoder]] = {"gpt2": GPT2, "llama": Llama}
IMAGE_FAMILIES: dict[str, type[Classifier]] = {"cnn": CNN, "resnet": ResNet, "vit": ViT}


@overload
def build(shape: Shape) -> Decoder: ...
@overload
def build(shape: ImageShape) -> Classifier: ...
def build(shape: Shape | ImageShape) -> Decoder | Classifier:
    """A freshly initialised network of this shape; draws from torch's global generator."""
    if isinstance(shape, ImageShape):
        return IMAGE_FAMILIES[shape.family](shape)
    return FAMILIES[shape.family](shape)
