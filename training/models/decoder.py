"""What our decoder-only Transformers share: attention, the residual layer, the stack."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.shape import Shape
from training.models.surgery import OPEN, Gate, Gated, rows


def project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x[B, T, in] @ weight[in, out] + bias[out]."""
    if bias is None:
        return x @ weight
    return torch.addmm(bias, x.flatten(0, 1), weight).view(*x.shape[:2], -1)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotary position embedding of x[B, T, heads, dh]: number i turns with number i + dh / 2 of its head.

    `rotation` [2, T, 1, dh] holds cosines and sines, the first half of the sines negated: one multiply-add, no halves
    cut and joined.
    """
    cosines, sines = rotation
    return torch.addcmul(x * cosines, x.roll(x.shape[-1] // 2, dims=-1), sines).type_as(x)


class Attention(nn.Module):
    """Causal self-attention, grouped queries included.

    Weights lie head after head: `qkv` [(H + 2K) * dh, D] holds query, key, value heads, `out` [H * dh, D] maps back.
    """

    def __init__(self, shape: Shape, *, bias: bool) -> None:
        super().__init__()
        self.heads, self.groups, self.width = shape.heads, shape.kv_heads, shape.head_width
        fan_out = (self.heads + 2 * self.groups) * self.width
        self.qkv = nn.Parameter(torch.empty(fan_out, shape.width))
        self.out = nn.Parameter(torch.empty(self.heads * self.width, shape.width))
        self.qkv_bias = nn.Parameter(torch.zeros(fan_out)) if bias else None
        self.out_bias = nn.Parameter(torch.zeros(shape.width)) if bias else None

    def forward(self, x: Tensor, rotation: Tensor | None, gate: Gate) -> Tensor:
        qkv: Tensor = self.qkv
        bias: Tensor | None = self.qkv_bias
        heads, groups = self.heads, self.groups
        if (active := self._active(gate)) is not None:
            qkv = rows(qkv, active, unit=self.width)
            bias = None if bias is None else rows(bias, active, unit=self.width)
            heads = heads if gate.heads is None else len(gate.heads)
            groups = groups if gate.groups is None else len(gate.groups)
        projected = F.linear(x, qkv, bias).view(*x.shape[:2], -1, self.width)
        query_key, value = projected[:, :, : heads + groups], projected[:, :, heads + groups :]
        if rotation is not None:
            query_key = rotate(query_key, rotation)
        mixed = F.scaled_dot_product_attention(
            query_key[:, :, :heads].transpose(1, 2),
            query_key[:, :, heads:].transpose(1, 2),
            value.transpose(1, 2),
            is_causal=True,
            enable_gqa=heads != groups,
        )
        out = rows(self.out, gate.heads, unit=self.width, scale=gate.heads_scale)
        return project(mixed.transpose(1, 2).flatten(2), out, self.out_bias)

    def _active(self, gate: Gate) -> Tensor | None:
        """Which of the H + 2K heads stacked in `qkv` are active; None is all."""
        if gate.heads is None and gate.groups is None:
            return None
        device = self.qkv.device
        heads = torch.arange(self.heads, device=device) if gate.heads is None else gate.heads
        groups = torch.arange(self.groups, device=device) if gate.groups is None else gate.groups
        return torch.cat((heads, groups + self.heads, groups + (self.heads + self.groups)))


class Layer(Gated):
    """Attention and MLP, each behind a norm, added to the residual stream."""

    def __init__(self, attention: nn.Module, mlp: nn.Module, norms: tuple[nn.Module, nn.Module]) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = norms
        self.attention, self.mlp = attention, mlp

    def forward(self, x: Tensor, rotation: Tensor | None) -> Tensor:
        gate = self.gate if self.training else OPEN
        y = x + self.attention(self.attention_norm(x), rotation, gate)
        y = y + self.mlp(self.mlp_norm(y), gate)
        return y if gate.layer_scale == 1.0 else torch.lerp(x, y, gate.layer_scale)


class Decoder(nn.Module):
    """Token embedding, layers, final norm, head. A tied head is the embedding itself."""

    embedding: nn.Embedding
    layers: nn.ModuleList
    norm: nn.Module
    head: nn.Linear | None

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def embed(self, tokens: Tensor) -> Tensor:
        """tokens[B, T] to what enters the first layer, [B, T, D]."""
        embedded: Tensor = self.embedding(tokens)
        return embedded

    def rotation(self, length: int) -> Tensor | None:
        """What `rotate` takes for these positions, [2, T, 1, dh], in nets that rotate."""
        return None

    def hidden(self, tokens: Tensor) -> Tensor:
        """tokens[B, T] to the final norm's output, [B, T, D]."""
        x, rotation = self.embed(tokens), self.rotation(tokens.shape[1])
        for layer in self.layers:
            if layer.runs:
                x = layer(x, rotation)
        normed: Tensor = self.norm(x)
        return normed

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens[B, T] to logits[B, T, V]."""
        return F.linear(self.hidden(tokens), (self.head or self.embedding).weight)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile layer by layer: which layers run may change every step without a new graph."""
        for layer in self.layers:
            layer.compile(*args, **kwargs)
