"""Predict the next token of a text. Validation reads the same held-out sequences for every method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from training.catalog import TaskCard
from training.data.names import SHIPPED, TEXT, TEXT_SOURCES
from training.models.shape import PRESETS, Shape

if TYPE_CHECKING:
    from training.spec import DataSpec


def shape(data: DataSpec, preset: str) -> Shape:
    """The network with the vocabulary of the tokenizer."""
    return replace(PRESETS[preset], vocab=data.vocab_size)


CARD = TaskCard(
    title="Next-token prediction",
    unit="token",
    source=TEXT,
    sources=TEXT_SOURCES,
    presets=PRESETS,
    shape=shape,
    length=lambda data: data.context,
    fields=("source", "vocab_size", "context"),
    evals=("cloze", "choice", "probe"),
    shipped=SHIPPED,
    offers=lambda entry: f"text:{entry.name}",
    starts_from={},
)
