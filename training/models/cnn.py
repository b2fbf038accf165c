"""A small plain convolutional network: no batch norm, so that an image is judged without its batch."""

from __future__ import annotations

from torch import nn

from training.models.classifier import Classifier, Normalise, initialise_convolutions
from training.models.images import ImageShape


class CNN(Classifier):
    """A 3x3 stem, then 3x3 convolutions of stride 2, each with ReLU; one linear layer on the last feature map."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__(shape)
        first = nn.Conv2d(shape.channels, shape.stem.outputs, 3, padding=1)
        self.stem = nn.Sequential(Normalise(shape.channels), first, nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(block.inputs, block.outputs, 3, block.stride, 1), nn.ReLU())
            for block in shape.blocks
        )
        self.pool = nn.Flatten()
        self.head = nn.Linear(shape.features, shape.classes)
        initialise_convolutions(self)
