"""The shapes of our decoders and their closed forms. Torch-free: the web process forecasts with it.

One convention everywhere: a multiply-add is 2 FLOPs, causal attention is not discounted, and only matrix products
count (norms, activations, embeddings look-ups and the optimiser do not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Family = Literal["gpt2", "llama"]

NORM_EPSILON = 1e-5
ROPE_THETA = 10_000.0


class Architecture(Protocol):
    """What forecasts and pages need to know of a network of any family. FLOPs are per token, or per image."""

    @property
    def family(self) -> str: ...
    @property
    def context(self) -> int:
        """Most units of one example: tokens of a sequence; 1 for images."""

    @property
    def parameters(self) -> int: ...
    @property
    def summary(self) -> str:
        """Its sizes in a few words."""

    @property
    def head_train_flops(self) -> float: ...
    def train_flops(self, context: int) -> float: ...
    @property
    def calls(self) -> int:
        """Blocks that are called one after the other."""

    @property
    def outputs(self) -> int:
        """Logits per unit."""

    @property
    def activations(self) -> float:
        """Values per unit that are read and written between products."""

    def memory_bytes(self, *, sequences: int, context: int, bits: int = 32) -> int: ...


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder-only Transformer."""

    family: Family
    layers: int
    width: int
    heads: int
    kv_heads: int
    mlp: int
    vocab: int
    context: int
    tied: bool = True
    frozen: int = 0
    """Layers at the front that only run forward while it trains."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def projection_macs(self) -> int:
        """Multiply-adds per token of one layer's query, key, value and output projections."""
        return 2 * self.width * self.width + 2 * self.width * self.kv_heads * self.head_width

    def score_macs(self, context: int) -> int:
        """Multiply-adds per token of one layer's scores and weighted values, no causal halving."""
        return 2 * context * self.width

    @property
    def mlp_macs(self) -> int:
        """Multiply-adds per token of one layer's MLP: two matrices (GPT-2) or three (SwiGLU)."""
        return (3 if self.family == "llama" else 2) * self.width * self.mlp

    @property
    def head_macs(self) -> int:
        """Multiply-adds per token of the language-model head."""
        return self.width * self.vocab

    def block_train_flops(
        self, context: int, *, heads: float = 1.0, groups: float | None = None, mlp: float = 1.0, layers: float = 1.0
    ) -> float:
        """Training FLOPs per token of the blocks with these shares active; `groups`, of key-value heads, as `heads`.

        Backward costs twice the forward, except inside fused attention: its backward recomputes the scores, five
        products for the forward's two, so scores and values cost 3.5 times their forward, not 3. The first layer that
        trains behind a frozen front still needs the gradient of its input: a norm that learns stands before its
        products. Active layers are as often frozen as layers are.
        """
        query = 2 * self.width * self.width
        key_value = self.projection_macs - query
        projections = heads * query + (heads if groups is None else groups) * key_value
        scores, matrices = heads * self.score_macs(context), projections + mlp * self.mlp_macs
        forward, backward = 2 * matrices + 2 * scores, 4 * matrices + 5 * scores
        return layers * (self.layers * forward + (self.layers - self.frozen) * backward)

    def train_flops(self, context: int) -> float:
        """Training FLOPs per token of the whole network: the blocks and the head."""
        return self.block_train_flops(context) + self.head_train_flops

    @property
    def head_train_flops(self) -> float:
        """Training FLOPs per token of the language-model head."""
        return 6.0 * self.head_macs

    @property
    def calls(self) -> int:
        return self.layers

    @property
    def outputs(self) -> int:
        return self.vocab

    @property
    def activations(self) -> float:
        return self.layers * (6 * self.width + 2 * self.mlp)

    @property
    def summary(self) -> str:
        return f"{self.layers} layers, {self.width} wide"

    @property
    def parameters(self) -> int:
        """Number of parameters, embeddings included, a tied head counted once."""
        d, kv = self.width, self.kv_heads * self.head_width
        if self.family == "gpt2":
            layer = 4 * d * d + 4 * d + 2 * d * self.mlp + self.mlp + d + 4 * d
            rest = self.vocab * d + self.context * d + 2 * d
        else:
            layer = 2 * d * d + 2 * d * kv + 3 * d * self.mlp + 2 * d
            rest = self.vocab * d + d
        return self.layers * layer + rest + (0 if self.tied else self.vocab * d)

    def memory_bytes(self, *, sequences: int, context: int, bits: int = 32) -> int:
        """Estimate of training memory: weights, gradients and two Adam moments in fp32, and kept activations.

        Per token and layer about 16 widths and 4 MLP widths are kept for the backward (fused attention keeps no
        scores); the logits are kept twice, in fp32. An estimate to refuse the impossible, not a promise.
        """
        tokens = sequences * context
        state = 16 * self.parameters
        kept = tokens * self.layers * (16 * self.width + 4 * self.mlp) * bits // 8
        return state + kept + 2 * 4 * tokens * self.vocab


def gpt2(layers: int, width: int, heads: int, *, vocab: int = 50257, context: int = 1024) -> Shape:
    return Shape("gpt2", layers, width, heads, heads, 4 * width, vocab, context)


def llama(
    layers: int, width: int, heads: int, kv_heads: int, mlp: int, *, vocab: int = 32000, context: int = 2048
) -> Shape:
    return Shape("llama", layers, width, heads, kv_heads, mlp, vocab, context, tied=False)


class Savings(NamedTuple):
    """Saved shares of the dense training FLOPs at equal steps, counted in two ways."""

    blocks: float
    """Of the blocks alone, as papers often count."""
    total: float
    """Head included, as the ledger books it."""


def savings(shape: Architecture, context: int, flops_per_token: float) -> Savings:
    """Both counts of a saving, from training FLOPs per token, be they planned or counted."""
    dense, head = shape.train_flops(context), shape.head_train_flops
    return Savings(1 - (flops_per_token - head) / (dense - head), 1 - flops_per_token / dense)


PRESETS: dict[str, Shape] = {
    "gpt2-nano": gpt2(2, 64, 4, vocab=512, context=256),
    "gpt2-micro": gpt2(3, 96, 6, vocab=512, context=256),
    "gpt2-slim": gpt2(4, 128, 4, vocab=2048, context=256),
    "gpt2-tiny": gpt2(6, 128, 8, vocab=2048, context=256),
    "gpt2-mini": gpt2(6, 256, 8, vocab=4096, context=512),
    "gpt2": gpt2(12, 768, 12),
    "gpt2-medium": gpt2(24, 1024, 16),
    "llama-nano": llama(2, 64, 4, 2, 176, vocab=512, context=256),
    "llama-tiny": llama(6, 128, 8, 4, 352, vocab=2048, context=256),
    "llama-mini": llama(6, 256, 8, 4, 688, vocab=4096, context=512),
    "tinyllama-1.1b": llama(22, 2048, 32, 4, 5632),
}
"""Named sizes; `gpt2`, `gpt2-medium` and `tinyllama-1.1b` have their published shapes."""
