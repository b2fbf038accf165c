"""The shapes of our encoder-decoders and their closed forms. Torch-free: the web process forecasts with it.

The convention is that of `training.models.shape`: a multiply-add is 2 FLOPs, only matrix products count, a backward
costs twice its forward. Attention is not fused here (its learnt bias wants a gradient), so its scores are no exception.

A token is a token of the text, before it is corrupted: it costs what the encoder and the decoder spend on an example,
divided by the example's `context`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.data.spans import lengths

BUCKETS = 32
"""How many distances the position bias tells apart."""
FARTHEST = 128
"""From this distance on all share one bucket."""
T5_EPSILON = 1e-6


@dataclass(frozen=True)
class EncoderDecoderShape:
    """Sizes of a T5: as many layers in the decoder as in the encoder."""

    family: Literal["t5"]
    layers: int
    """Of the encoder, and again of the decoder."""
    width: int
    heads: int
    head_width: int
    mlp: int
    vocab: int
    """Sentinels included."""
    context: int
    """Most tokens of text in one example."""
    tied: bool = False
    """A tied head reads its input times width ** -0.5, as T5's does; an untied one (version 1.1) reads it as it is."""

    @property
    def attention_width(self) -> int:
        """All heads side by side."""
        return self.heads * self.head_width

    def macs(self, context: int) -> int:
        """Multiply-adds of one example in the encoder's and the decoder's layers."""
        _, _, source, target = lengths(context)
        projection, mlp = self.width * self.attention_width, 3 * self.width * self.mlp
        encoder = source * (4 * projection + 2 * source * self.attention_width + mlp)
        own = target * (4 * projection + 2 * target * self.attention_width)
        across = 2 * (target + source) * projection + 2 * target * source * self.attention_width
        return self.layers * (encoder + own + across + target * mlp)

    def head_macs(self, context: int) -> int:
        """Multiply-adds of one example in the language-model head, which reads targets alone."""
        return lengths(context).target * self.width * self.vocab

    def train_flops(self, context: int) -> float:
        """Training FLOPs per token of text, of the whole network."""
        return 6.0 * (self.macs(context) + self.head_macs(context)) / context

    @property
    def head_train_flops(self) -> float:
        """Training FLOPs per token of text of the head, at the longest examples; little changes with their length."""
        return 6.0 * self.head_macs(self.context) / self.context

    @property
    def calls(self) -> int:
        return 2 * self.layers

    @property
    def outputs(self) -> int:
        """Logits per token of text, rounded up: only targets have logits."""
        return -(-lengths(self.context).target * self.vocab // self.context)

    @property
    def activations(self) -> float:
        """Per token of text; an encoder's layer reads and writes its own tokens, a decoder's its fewer ones."""
        _, _, source, target = lengths(self.context)
        layer = 6 * self.attention_width + 3 * self.mlp
        return self.layers * (source * layer + target * (layer + 4 * self.attention_width)) / self.context

    @property
    def summary(self) -> str:
        return f"{self.layers} + {self.layers} layers, {self.width} wide"

    @property
    def parameters(self) -> int:
        """Number of parameters, the shared embedding counted once, a tied head not at all."""
        attention, mlp = 4 * self.width * self.attention_width, 3 * self.width * self.mlp
        encoder, decoder = attention + mlp + 2 * self.width, 2 * attention + mlp + 3 * self.width
        stacks = self.layers * (encoder + decoder) + 2 * (BUCKETS * self.heads + self.width)
        return stacks + self.vocab * self.width * (1 if self.tied else 2)

    def memory_bytes(self, *, sequences: int, context: int, bits: int = 32) -> int:
        """Estimate of training memory: weights, gradients and two Adam moments in fp32, and kept activations.

        Per layer and token about 16 widths and 5 MLP widths are kept, and three times the scores, which are not fused.
        An estimate to refuse the impossible, not a promise.
        """
        _, _, source, target = lengths(context)
        scores = 3 * self.heads * (source * source + target * target + source * target)
        kept = self.layers * ((source + target) * (16 * self.width + 5 * self.mlp) + scores)
        logits = 2 * 4 * target * self.vocab
        return 16 * self.parameters + sequences * (kept * bits // 8 + logits)


def t5(
    layers: int, width: int, heads: int, head_width: int, mlp: int, *, vocab: int, context: int
) -> EncoderDecoderShape:
    return EncoderDecoderShape("t5", layers, width, heads, head_width, mlp, vocab, context)


ENCODER_DECODER_PRESETS: dict[str, EncoderDecoderShape] = {
    "t5-nano": t5(2, 64, 4, 16, 128, vocab=512, context=256),
    "t5-tiny": t5(2, 128, 4, 32, 256, vocab=2048, context=256),
    "t5-small-like": t5(8, 512, 6, 64, 1024, vocab=32128, context=568),
}
"""Named sizes; `t5-small-like` has the sizes of T5 v1.1 small, with examples that fill its 512 source tokens."""
