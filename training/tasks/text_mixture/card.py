"""Predict the next token of two texts, a general one and that of a domain, cut by one tokenizer trained on both.

Which of them comes next is the method's decision; without one the sequences of both are shuffled together. The
validation loss is the mean of the losses on both texts; each has a curve of its own, `val/general` and `val/domain`.
Per token, so that two tasks with other texts or another vocabulary do not compare.
"""

from __future__ import annotations

from training.catalog import TaskCard
from training.data.names import SHIPPED, TEXT, TEXT_SOURCES
from training.models.shape import PRESETS
from training.tasks.language_modelling.card import shape

CARD = TaskCard(
    title="Next-token prediction on two texts",
    unit="token",
    source=TEXT,
    sources=TEXT_SOURCES,
    presets=PRESETS,
    shape=shape,
    length=lambda data: data.context,
    fields=("source", "domain", "vocab_size", "context"),
    evals=(),
    shipped=SHIPPED,
    offers=lambda entry: f"text:{entry.name}",
    starts_from={"data": {"domain": "python-stdlib"}, "evals": ()},
    needs=lambda data: ("domain",),
)
