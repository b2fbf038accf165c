"""The shapes of our image classifiers and their closed forms. Torch-free: the web process forecasts with it.

The convention is that of `training.models.shape`: a multiply-add is 2 FLOPs, only products and convolutions count, a
backward costs twice its forward. Two things differ from it: the stem needs no gradient of its input, the images, and
fused attention recomputes its scores (five products backward for two forward).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

ImageFamily = Literal["resnet", "cnn", "vit"]


@dataclass(frozen=True)
class Part:
    """The stem, a block or the head: what building it needs, and what one image costs in it."""

    inputs: int
    outputs: int
    stride: int
    side: int
    """Places per side at the output: pixels of a feature map; for a ViT its patches."""
    macs: int
    """Forward multiply-adds per image."""
    entry_macs: int
    """Of these, in layers that read the part's input directly: 2 FLOPs less each where it needs no gradient."""
    parameters: int
    kept: int
    """About how many numbers per image are kept for the backward."""
    attention_macs: int = 0
    """Of `macs`, in fused attention."""

    @property
    def forward_flops(self) -> int:
        return 2 * self.macs

    @property
    def train_flops(self) -> int:
        """Forward and backward, with respect to the weights and the input."""
        return 6 * self.macs + self.attention_macs

    @property
    def attack_flops(self) -> int:
        """Forward and a backward with respect to the input alone."""
        return 4 * self.macs + 3 * self.attention_macs


@dataclass(frozen=True)
class ImageShape:
    """Sizes of an image classifier: one entry of `widths` and `depths` per stage of equal resolution.

    A ViT has one stage of `depths[0]` blocks on patches of `patch` pixels a side; `heads` and `mlp` are its alone.
    """

    family: ImageFamily
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    side: int = 32
    channels: int = 3
    classes: int = 10
    heads: int = 0
    mlp: int = 0
    patch: int = 1
    frozen: int = 0
    """Blocks at the front that, with the stem, only run forward while it trains."""

    def __post_init__(self) -> None:
        if self.side % self.patch:
            raise ValueError(f"images of {self.side} pixels do not divide into patches of {self.patch}")

    @property
    def context(self) -> int:
        """The longest sequence: an image is one example and has no tokens."""
        return 1

    @property
    def stem(self) -> Part:
        """What turns pixels into the first feature map."""
        width, patch = self.widths[0], self.patch
        side = self.side // patch
        weights = patch * patch * self.channels * width if self.family == "vit" else 9 * self.channels * width
        extra = {"resnet": 2 * width, "cnn": width, "vit": width + side * side * width}[self.family]
        macs = weights * side * side
        kept = 3 * side * side * width + self.channels * self.side**2
        return Part(self.channels, width, patch, side, macs, macs, weights + extra, kept)

    @property
    def blocks(self) -> tuple[Part, ...]:
        """The blocks from front to back."""
        if self.family == "vit":
            return (self._transformer(),) * self.depths[0]
        made: list[Part] = []
        inputs, side = self.stem.outputs, self.side
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for position in range(depth):
                stride = 2 if position == 0 and (stage > 0 or self.family == "cnn") else 1
                side = math.ceil(side / stride)
                made.append((_residual if self.family == "resnet" else _plain)(inputs, width, stride, side))
                inputs = width
        return tuple(made)

    @property
    def features(self) -> int:
        """Numbers per image that the head reads."""
        last = self.blocks[-1]
        return last.outputs * last.side**2 if self.family == "cnn" else last.outputs

    @property
    def head(self) -> Part:
        """The linear layer on the features; a ViT's last norm stands before it."""
        macs = self.features * self.classes
        norm, entry = (2 * self.features, 0) if self.family == "vit" else (0, macs)
        return Part(self.features, self.classes, 1, 1, macs, entry, macs + self.classes + norm, 2 * self.features)

    @property
    def parts(self) -> tuple[Part, ...]:
        return (self.stem, *self.blocks, self.head)

    @property
    def macs(self) -> int:
        """Forward multiply-adds per image."""
        return sum(part.macs for part in self.parts)

    @property
    def parameters(self) -> int:
        """Number of parameters; the statistics of batch norms are none."""
        return sum(part.parameters for part in self.parts)

    @property
    def summary(self) -> str:
        widths = "-".join(str(width) for width in self.widths)
        return f"{sum(self.depths)} blocks, {widths} wide, images of {self.side} pixels"

    @property
    def calls(self) -> int:
        return len(self.blocks)

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def activations(self) -> float:
        return float(sum(part.kept for part in self.parts))

    @property
    def head_train_flops(self) -> float:
        """Training FLOPs per image of the classifying layer."""
        return float(self.head.train_flops)

    @property
    def forward_flops(self) -> float:
        """FLOPs per image of predicting."""
        return 2.0 * self.macs

    @property
    def attack_flops(self) -> float:
        """FLOPs per image of one forward and of a backward that asks for the image's gradient alone."""
        return float(sum(part.attack_flops for part in self.parts))

    def part_flops(self) -> tuple[int, ...]:
        """Training FLOPs per image of each part. The first that trains needs no gradient of its input."""
        first = self.frozen + 1 if self.frozen else 0
        trained = [part.train_flops for part in self.parts[first:]]
        trained[0] -= 2 * self.parts[first].entry_macs
        return (*(part.forward_flops for part in self.parts[:first]), *trained)

    def train_flops(self, context: int = 1) -> float:
        """Training FLOPs per image of the whole network; `context` is 1."""
        return float(sum(self.part_flops()))

    def memory_bytes(self, *, sequences: int, context: int = 1, bits: int = 32) -> int:
        """Estimate of training memory for this many images: weights, gradients, two moments, kept activations.

        An estimate to refuse the impossible, not a promise.
        """
        return 16 * self.parameters + sequences * sum(part.kept for part in self.parts) * bits // 8

    def wider(self, factor: int) -> ImageShape:
        """The same network with `factor` times as many channels everywhere."""
        return replace(
            self, widths=tuple(factor * w for w in self.widths), heads=factor * self.heads, mlp=factor * self.mlp
        )

    def _transformer(self) -> Part:
        """Pre-norm attention and MLP, with biases (Dosovitskiy et al. 2021, section 3.1)."""
        width, side = self.widths[0], self.side // self.patch
        places = side * side
        weights = 4 * width * width + 2 * width * self.mlp
        attention = 2 * places * places * width
        parameters = weights + 4 * width + width + self.mlp + 4 * width
        kept = places * (16 * width + 4 * self.mlp)
        return Part(width, width, 1, side, weights * places + attention, 0, parameters, kept, attention)


def _residual(inputs: int, outputs: int, stride: int, side: int) -> Part:
    """Two 3x3 convolutions with batch norm; a 1x1 convolution on the shortcut where the shape changes."""
    projection = inputs * outputs if stride > 1 or inputs != outputs else 0
    entry, inner = 9 * inputs * outputs + projection, 9 * outputs * outputs
    norms = 2 * outputs * (3 if projection else 2)
    places = side * side
    kept = places * outputs * (7 if projection else 6)
    return Part(inputs, outputs, stride, side, (entry + inner) * places, entry * places, entry + inner + norms, kept)


def _plain(inputs: int, outputs: int, stride: int, side: int) -> Part:
    """One 3x3 convolution with a bias."""
    weights = 9 * inputs * outputs
    macs = weights * side * side
    return Part(inputs, outputs, stride, side, macs, macs, weights + outputs, 2 * side * side * outputs)


def cifar_resnet(layers: int) -> ImageShape:
    """A residual network of 6n + 2 layers (He et al. 2016, section 4.2), with projections on the shortcuts."""
    return ImageShape("resnet", (16, 32, 64), ((layers - 2) // 6,) * 3)


IMAGE_PRESETS: dict[str, ImageShape] = {
    "cnn-small": ImageShape("cnn", (16, 32), (1, 1)),
    **{f"resnet{layers}": cifar_resnet(layers) for layers in (8, 14, 20, 32, 38, 74)},
    "resnet32-2x": cifar_resnet(32).wider(2),
    "resnet18": ImageShape("resnet", (64, 128, 256, 512), (2, 2, 2, 2)),
    "vit-nano": ImageShape("vit", (64,), (6,), heads=4, mlp=256, patch=4),
    "vit-tiny": ImageShape("vit", (192,), (12,), heads=3, mlp=768, patch=4),
}
"""Named sizes. `resnet18` has ImageNet's stages behind a 3x3 stem; `vit-tiny` has ViT-Ti's width on patches of 4."""
