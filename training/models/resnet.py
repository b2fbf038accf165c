"""Residual networks for small images (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from training.models.classifier import Classifier, Mean, Normalise, initialise_convolutions
from training.models.images import ImageShape


def convolution(inputs: int, outputs: int, stride: int = 1, *, size: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions around a shortcut, which a 1x1 convolution carries where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, stride, size=1), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(Classifier):
    """A 3x3 stem at full resolution, stages of basic blocks, global average pooling, one linear layer."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__(shape)
        width = shape.stem.outputs
        self.stem = nn.Sequential(
            Normalise(shape.channels), convolution(shape.channels, width), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.blocks = nn.ModuleList(Basic(block.inputs, block.outputs, block.stride) for block in shape.blocks)
        self.pool = Mean(2, 3)
        self.head = nn.Linear(shape.features, shape.classes)
        initialise_convolutions(self)
