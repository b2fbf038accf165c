"""Continual pre-training: a network trained on a general text goes on with a mixture of that text and a domain's."""

from __future__ import annotations

from typing import cast

from training import optim
from training.lab import Lab
from training.methods.continual.card import ContinualKnobs
from training.optim import Schedule
from training.outcome import Outcome
from training.parts.mixture import Mixed, TwoTexts
from training.records import Purpose


def run(lab: Lab, knobs: ContinualKnobs) -> Outcome:
    model, pools = lab.build(), cast(TwoTexts, lab.task).pools
    before = Mixed(pools, 0.0, lab.seed, "pretrain")
    base = lab.learner(model, order=before, purpose=Purpose.SOURCE)
    lab.fit("pretrain", base, until=lab.budget.share(knobs.pretrain))
    mixture = Mixed(pools, knobs.domain_share, lab.seed, "continue")
    learner = lab.learner(model, order=mixture, schedule=schedule(lab, knobs))
    lab.fit("continue", learner, until=lab.budget.share(1 - knobs.pretrain))
    return Outcome(model)


def schedule(lab: Lab, knobs: ContinualKnobs) -> Schedule:
    """As the spec says, or its warm-up and then a constant rate."""
    whole = optim.schedule(lab.spec.optim)
    warmup = lab.spec.optim.warmup
    return whole if knobs.rate == "decayed" else lambda progress: whole(progress) if progress < warmup else 1.0
