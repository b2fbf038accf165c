"""Write what was taken out of a text: an encoder reads the rest, a decoder writes the missing spans (T5).

15 % of the tokens are taken out, in spans of 3 tokens on average, each span replaced by a sentinel of its own; the
target names each sentinel and what stood there. The loss is the mean over the tokens of the target, in nats. An
example counts as its tokens of text, before the corruption, so that a token costs the same text under every method.
Every time an example comes, other spans are drawn; validation and test read the same corruption for every method and
every seed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from training.catalog import TaskCard
from training.data.names import SHIPPED, TEXT, TEXT_SOURCES
from training.data.spans import lengths
from training.models.encoder_decoder import ENCODER_DECODER_PRESETS, EncoderDecoderShape

if TYPE_CHECKING:
    from training.spec import DataSpec


def shape(data: DataSpec, preset: str) -> EncoderDecoderShape:
    """The network with the vocabulary of the tokenizer, one more entry per sentinel, and the length of the examples."""
    vocab = data.vocab_size + lengths(data.context).spans
    return replace(ENCODER_DECODER_PRESETS[preset], vocab=vocab, context=data.context)


CARD = TaskCard(
    title="Span corruption",
    unit="token",
    source=TEXT,
    sources=TEXT_SOURCES,
    presets=ENCODER_DECODER_PRESETS,
    shape=shape,
    length=lambda data: data.context,
    fields=("source", "vocab_size", "context"),
    evals=(),
    shipped=SHIPPED,
    offers=lambda entry: f"text:{entry.name}",
    starts_from={"model": {"preset": "t5-tiny"}, "evals": ()},
)
