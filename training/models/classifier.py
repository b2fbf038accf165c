"""What our image classifiers share: pixels in, normalised first, then a stem, blocks in order, features, a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.images import ImageShape


class Normalise(nn.Module):
    """(x - mean) / std per channel, inside the network, so that its input is pixels in [0, 1].

    The statistics are buffers: they travel with the weights and no optimiser moves them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Classifier(nn.Module):
    """`head(pool(blocks(stem(images))))`; the blocks run front to back, each fed by the one before it."""

    stem: nn.Sequential
    """Begins with `Normalise`."""
    blocks: nn.ModuleList
    pool: nn.Module
    head: nn.Linear

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        self.shape = shape

    def normalise(self, mean: Tensor, std: Tensor) -> None:
        """Take the training images' statistics, [C] each, as the network's first operation."""
        first = self.stem[0]
        assert isinstance(first, Normalise)
        first.mean.copy_(mean.view(-1, 1, 1))
        first.std.copy_(std.view(-1, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """images[B, C, H, W] in [0, 1] to what the head reads, [B, D]."""
        x: Tensor = self.stem(images)
        for block in self.blocks:
            x = block(x)
        pooled: Tensor = self.pool(x)
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """images[B, C, H, W] in [0, 1] to logits[B, classes]."""
        logits: Tensor = self.head(self.features(images))
        return logits


class Mean(nn.Module):
    """The mean over the given dimensions: global average pooling."""

    def __init__(self, *over: int) -> None:
        super().__init__()
        self.over = over

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.over)


def initialise_convolutions(model: nn.Module) -> None:
    """Kaiming-normal convolutions by fan-out, for ReLU (He et al. 2015); biases start at zero."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
