"""Trains the whole network on every step. The baseline that every claim is held against."""

from __future__ import annotations

from training.catalog import ASPECTS, Card, Stage
from training.knobs import Knobs
from training.models.shape import Architecture


class DenseKnobs(Knobs):
    """Nothing to turn."""


def stages(knobs: DenseKnobs, shape: Architecture, context: int) -> tuple[Stage, ...]:
    return (Stage("train", 1.0, shape.train_flops(context)),)


CARD = Card(
    title="Dense",
    family="baseline",
    paper="",
    knobs=DenseKnobs,
    tasks=("language_modelling", "image_classification", "span_corruption", "text_mixture"),
    claims=(),
    stages=stages,
    owns=tuple(ASPECTS),
)
