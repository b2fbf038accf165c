"""Trains the whole network on every step. The baseline that every claim is held against."""

from __future__ import annotations

from training.catalog import Card, Stage
from training.knobs import Knobs
from training.models.shape import Shape


class DenseKnobs(Knobs):
    """Nothing to turn."""


def stages(knobs: DenseKnobs, shape: Shape, context: int) -> tuple[Stage, ...]:
    return (Stage("train", 1.0, shape.train_flops(context)),)


CARD = Card(
    title="Dense",
    family="baseline",
    paper="",
    knobs=DenseKnobs,
    tasks=("language_modelling",),
    claims=(),
    stages=stages,
)
