"""A Vision Transformer for small images (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021).

Global average pooling instead of a class token, as in Beyer et al., arXiv:2205.01580.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.classifier import Classifier, Mean, Normalise
from training.models.images import ImageShape
from training.models.shape import NORM_EPSILON

STD = 0.02


class Patches(nn.Module):
    """images[B, C, H, W] to one vector per patch with its learned position, [B, T, D]."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__()
        stem = shape.stem
        self.project = nn.Conv2d(stem.inputs, stem.outputs, shape.patch, shape.patch)
        self.positions = nn.Parameter(torch.empty(stem.side**2, stem.outputs))

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.project(images)
        return patches.flatten(2).transpose(1, 2) + self.positions


class Attention(nn.Module):
    """Multi-head self-attention without a mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed: Tensor = self.out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """Attention and MLP, each behind a norm, added to the residual stream."""

    def __init__(self, width: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(width, eps=NORM_EPSILON), Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = nn.Sequential(nn.Linear(width, mlp), nn.GELU(), nn.Linear(mlp, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        added: Tensor = x + self.mlp(self.mlp_norm(x))
        return added


class ViT(Classifier):
    """Patches, blocks, a final norm, the mean over the patches, one linear layer."""

    def __init__(self, shape: ImageShape) -> None:
        super().__init__(shape)
        width = shape.widths[0]
        self.stem = nn.Sequential(Normalise(shape.channels), Patches(shape))
        self.blocks = nn.ModuleList(Block(width, shape.heads, shape.mlp) for _ in shape.blocks)
        self.pool = nn.Sequential(nn.LayerNorm(width, eps=NORM_EPSILON), Mean(1))
        self.head = nn.Linear(width, shape.classes)
        self._initialise()

    def _initialise(self) -> None:
        """Matrices and positions normal with deviation 0.02 cut at two deviations; biases start at zero."""
        for name, parameter in self.named_parameters():
            if parameter.dim() >= 2:
                nn.init.trunc_normal_(parameter, std=STD, a=-2 * STD, b=2 * STD)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
