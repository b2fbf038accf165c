"""T5 in its version 1.1: relative position bias, RMSNorm, gated GELU, untied head, no biases (Raffel et al. 2020).

Scores are not divided by the square root of the head's width: the initialisation of the queries makes up for it. No
dropout, as in T5's pre-training. Attention is written as two products and a softmax, not fused: fused kernels with a
bias that learns differ from device to device, and so would their count.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.decoder import project
from training.models.encoder_decoder import BUCKETS, FARTHEST, T5_EPSILON, EncoderDecoderShape


def buckets(queries: int, keys: int, *, both_ways: bool) -> Tensor:
    """Bucket of each distance key - query, int64 [queries, keys] (section 2.1, and the code it refers to).

    Half of the buckets are exact, half grow logarithmically up to FARTHEST. Both ways, the sign takes half of them;
    one way, every later key shares the bucket of distance 0, and a mask hides it.
    """
    distance = torch.arange(keys) - torch.arange(queries)[:, None]
    count = BUCKETS // 2 if both_ways else BUCKETS
    first = (distance > 0).long() * count if both_ways else torch.zeros_like(distance)
    distance = distance.abs() if both_ways else (-distance).clamp(min=0)
    exact = count // 2
    grown = (distance.clamp(min=1).float() / exact).log() / math.log(FARTHEST / exact) * (count - exact)
    return first + torch.where(distance < exact, distance, (exact + grown.long()).clamp(max=count - 1))


class PositionBias(nn.Module):
    """What a stack adds to its scores, one table [BUCKETS, heads] for all of its layers."""

    def __init__(self, shape: EncoderDecoderShape, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.table = nn.Parameter(torch.empty(BUCKETS, shape.heads))

    def forward(self, length: int) -> Tensor:
        """The bias [heads, length, length]; in a decoder later keys have minus infinity."""
        device = self.table.device
        places = buckets(length, length, both_ways=not self.causal).to(device)
        bias = F.embedding(places, self.table).permute(2, 0, 1)
        if not self.causal:
            return bias
        later = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
        return bias.masked_fill(later, float("-inf"))


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """query[B, Q, H, dh], key and value [B, K, H, dh], bias[H, Q, K] to the mixed values, [B, Q, H * dh]."""
    scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1)
    if bias is not None:
        scores = scores + bias
    weights = scores.float().softmax(-1).type_as(value)
    return (weights @ value.transpose(1, 2)).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Weights lie head after head: `qkv` [3 * H * dh, D] holds query, key, value heads, `out` [H * dh, D] maps back."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.width = shape.head_width
        self.qkv = nn.Parameter(torch.empty(3 * shape.attention_width, shape.width))
        self.out = nn.Parameter(torch.empty(shape.attention_width, shape.width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        query, key, value = F.linear(x, self.qkv).view(*x.shape[:2], -1, self.width).chunk(3, dim=2)
        return project(attend(query, key, value, bias), self.out, None)


class CrossAttention(nn.Module):
    """Queries of the decoder, keys and values of the encoder's output: `query` [H * dh, D], `kv` [2 * H * dh, D]."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.width = shape.head_width
        self.query = nn.Parameter(torch.empty(shape.attention_width, shape.width))
        self.kv = nn.Parameter(torch.empty(2 * shape.attention_width, shape.width))
        self.out = nn.Parameter(torch.empty(shape.attention_width, shape.width))

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        query = F.linear(x, self.query).view(*x.shape[:2], -1, self.width)
        key, value = F.linear(source, self.kv).view(*source.shape[:2], -1, self.width).chunk(2, dim=2)
        return project(attend(query, key, value, None), self.out, None)


class GeGlu(nn.Module):
    """down(gelu(gate(x)) * up(x)); one row per neuron in `gate_up` [2 * M, D], gates first, and `down` [M, D]."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(2 * shape.mlp, shape.width))
        self.down = nn.Parameter(torch.empty(shape.mlp, shape.width))

    def forward(self, x: Tensor) -> Tensor:
        opened, up = F.linear(x, self.gate_up).chunk(2, dim=-1)
        return project(F.gelu(opened, approximate="tanh") * up, self.down, None)


def norm(shape: EncoderDecoderShape) -> nn.RMSNorm:
    return nn.RMSNorm(shape.width, eps=T5_EPSILON)


class EncoderLayer(nn.Module):
    """Attention and MLP, each behind a norm, added to the residual stream."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = norm(shape), norm(shape)
        self.attention, self.mlp = SelfAttention(shape), GeGlu(shape)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), bias)
        output: Tensor = x + self.mlp(self.mlp_norm(x))
        return output


class DecoderLayer(nn.Module):
    """An encoder's layer with attention to the encoder's output between the two."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.attention_norm, self.cross_norm, self.mlp_norm = norm(shape), norm(shape), norm(shape)
        self.attention, self.cross, self.mlp = SelfAttention(shape), CrossAttention(shape), GeGlu(shape)

    def forward(self, x: Tensor, bias: Tensor, source: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), bias)
        x = x + self.cross(self.cross_norm(x), source)
        output: Tensor = x + self.mlp(self.mlp_norm(x))
        return output


class T5(nn.Module):
    """One embedding for both stacks, a norm at the end of each, a head on the decoder's."""

    def __init__(self, shape: EncoderDecoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.encoder = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.layers))
        self.encoder_bias, self.encoder_norm = PositionBias(shape, causal=False), norm(shape)
        self.decoder = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.decoder_bias, self.decoder_norm = PositionBias(shape, causal=True), norm(shape)
        self.head = None if shape.tied else nn.Linear(shape.width, shape.vocab, bias=False)
        self._initialise()

    def encode(self, source: Tensor) -> Tensor:
        """source[B, S] to what the decoder attends to, [B, S, D]."""
        x, bias = self.embedding(source), self.encoder_bias(source.shape[1])
        for layer in self.encoder:
            x = layer(x, bias)
        encoded: Tensor = self.encoder_norm(x)
        return encoded

    def hidden(self, source: Tensor, written: Tensor) -> Tensor:
        """source[B, S] and what is already written[B, T] to what the head reads, [B, T, D]."""
        encoded = self.encode(source)
        x, bias = self.embedding(written), self.decoder_bias(written.shape[1])
        for layer in self.decoder:
            x = layer(x, bias, encoded)
        hidden: Tensor = self.decoder_norm(x)
        return hidden if self.head is not None else hidden * self.shape.width**-0.5

    def forward(self, source: Tensor, written: Tensor) -> Tensor:
        """source[B, S] and the target shifted by one, written[B, T], to logits[B, T, V]."""
        return F.linear(self.hidden(source, written), (self.head or self.embedding).weight)

    def _initialise(self) -> None:
        """Normal, as Mesh TensorFlow's T5: deviation fan-in ** -0.5, queries less by head width ** -0.5, embedding 1.

        The untied head has width ** -0.5, so that an untrained network guesses about uniformly.
        """
        shape = self.shape
        query = (shape.width * shape.head_width) ** -0.5
        for name, parameter in self.named_parameters():
            if name == "embedding.weight":
                nn.init.normal_(parameter, std=1.0)
            elif name.endswith((".out", ".down")):
                nn.init.normal_(parameter, std=len(parameter) ** -0.5)
            elif parameter.dim() == 2:
                nn.init.normal_(parameter, std=shape.width**-0.5)
            if name.endswith((".qkv", ".query")):
                nn.init.normal_(parameter.data[: shape.attention_width], std=query)
