"""Llama: rotary positions, RMSNorm, SwiGLU, grouped queries, untied head, no biases (Touvron et al. 2023).

Initialised as TinyLlama was (`lit_gpt/model.py` of its repository, after GPT-NeoX).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.decoder import Attention, Decoder, Layer, project
from training.models.shape import NORM_EPSILON, ROPE_THETA, Shape
from training.models.surgery import Gate, rows


class SwiGlu(nn.Module):
    """down(silu(gate(x)) * up(x)); one row per neuron in `gate_up` [2 * M, D], gates first, and `down` [M, D]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.neurons = shape.mlp
        self.gate_up = nn.Parameter(torch.empty(2 * shape.mlp, shape.width))
        self.down = nn.Parameter(torch.empty(shape.mlp, shape.width))

    def forward(self, x: Tensor, gate: Gate) -> Tensor:
        both = None if gate.neurons is None else torch.cat((gate.neurons, gate.neurons + self.neurons))
        opened, up = F.linear(x, rows(self.gate_up, both)).chunk(2, dim=-1)
        return project(F.silu(opened) * up, rows(self.down, gate.neurons, scale=gate.neurons_scale), None)


class Llama(Decoder):
    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(self._layer() for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.head = None if shape.tied else nn.Linear(shape.width, shape.vocab, bias=False)
        self.register_buffer("turns", rotations(shape), persistent=False)
        self._initialise()

    def rotation(self, length: int) -> Tensor:
        turns: Tensor = self.get_buffer("turns")
        return turns[:, :length]

    def _layer(self) -> Layer:
        width = self.shape.width
        norms = nn.RMSNorm(width, eps=NORM_EPSILON), nn.RMSNorm(width, eps=NORM_EPSILON)
        return Layer(Attention(self.shape, bias=False), SwiGlu(self.shape), norms)

    def _initialise(self) -> None:
        """Normal with variance 2 / (5 * fan-in); the MLP's way back with 1 / (sqrt(fan-in) * layers)."""
        for name, parameter in self.named_parameters():
            if name.endswith(".down"):
                nn.init.normal_(parameter, std=1 / (math.sqrt(self.shape.mlp) * self.shape.layers))
            elif parameter.dim() == 2:
                nn.init.normal_(parameter, std=math.sqrt(2 / (5 * self.shape.width)))


def rotations(shape: Shape) -> Tensor:
    """Cosines and signed sines of position * theta^(-2i / dh), [2, context, 1, dh]."""
    frequencies = ROPE_THETA ** -(torch.arange(0, shape.head_width, 2).float() / shape.head_width)
    angles = torch.outer(torch.arange(shape.context).float(), frequencies)[:, None]
    cosines, sines = angles.cos(), angles.sin()
    return torch.stack((torch.cat((cosines, cosines), dim=-1), torch.cat((-sines, sines), dim=-1)))
