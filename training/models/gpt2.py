"""GPT-2: learned positions, LayerNorm, GELU, biases, tied head (Radford et al. 2019)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.decoder import Attention, Decoder, Layer, project
from training.models.shape import NORM_EPSILON, Shape
from training.models.surgery import Gate, rows

STD = 0.02


class GeluMlp(nn.Module):
    """Two matrices around a tanh-GELU; one row per neuron in both `up` [M, D] and `down` [M, D]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.empty(shape.mlp, shape.width))
        self.down = nn.Parameter(torch.empty(shape.mlp, shape.width))
        self.up_bias = nn.Parameter(torch.zeros(shape.mlp))
        self.down_bias = nn.Parameter(torch.zeros(shape.width))

    def forward(self, x: Tensor, gate: Gate) -> Tensor:
        inner = F.linear(x, rows(self.up, gate.neurons), rows(self.up_bias, gate.neurons))
        down = rows(self.down, gate.neurons, scale=gate.neurons_scale)
        return project(F.gelu(inner, approximate="tanh"), down, self.down_bias)


class GPT2(Decoder):
    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.positions = nn.Parameter(torch.empty(shape.context, shape.width))
        self.layers = nn.ModuleList(self._layer() for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)
        self.head = None if shape.tied else nn.Linear(shape.width, shape.vocab, bias=False)
        self._initialise()

    def embed(self, tokens: Tensor) -> Tensor:
        return super().embed(tokens) + self.positions[: tokens.shape[1]]

    def _layer(self) -> Layer:
        width = self.shape.width
        norms = nn.LayerNorm(width, eps=NORM_EPSILON), nn.LayerNorm(width, eps=NORM_EPSILON)
        return Layer(Attention(self.shape, bias=True), GeluMlp(self.shape), norms)

    def _initialise(self) -> None:
        """Normal with deviation 0.02; projections onto the residual stream divided by sqrt(2 * layers)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith((".out", ".down"))
                nn.init.normal_(parameter, std=STD / math.sqrt(2 * self.shape.layers) if residual else STD)
