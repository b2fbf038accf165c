"""Dense training: the whole network on every step."""

from __future__ import annotations

from training.lab import Lab
from training.methods.dense.card import DenseKnobs
from training.outcome import Outcome


def run(lab: Lab, knobs: DenseKnobs) -> Outcome:
    model = lab.build()
    lab.fit("train", lab.learner(model), until=lab.budget)
    return Outcome(model)
