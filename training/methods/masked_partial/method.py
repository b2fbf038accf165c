"""Partially masked training: a part that gives the core and the full network their steps in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from training.lab import Lab
from training.loop import Batch, Hook, Learner, Loop, Until, plain_step
from training.methods.masked_partial.card import MaskedPartialKnobs, core_density
from training.methods.masked_partial.core import Core, make_core, merged
from training.outcome import Outcome


class Alternate(Hook):
    """Says whose turn a step is, and keeps everything outside the core where it was on the core's turns."""

    def __init__(self, learner: Learner, knobs: MaskedPartialKnobs, *, density: float) -> None:
        self.learner, self.knobs, self.density = learner, knobs, density
        self.core: Core = learner.model.core  # type: ignore[assignment]
        self.cores_turn = False
        self.inside = self.core.members(learner.model)
        self.outside: list[tuple[Tensor, Tensor, Tensor]] = []
        """What a core step must not move: a tensor, the mask of the core within it, and its values before."""

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self.cores_turn = self.knobs.cores_turn(loop.step)
        self.learner.discount["density"] = self.density if self.cores_turn else 1.0
        loop.note("core_step", float(self.cores_turn))
        return batch

    def before_update(self, loop: Loop) -> None:
        """Parameters wholly outside have no gradient, so that no optimiser moves them; of the others keep a copy."""
        self.outside = []
        if not self.cores_turn:
            return
        for parameter, mask in self._cut():
            self.outside += [(held, mask, held.detach().clone()) for held in (parameter, *self._state(parameter))]

    def after_step(self, loop: Loop) -> None:
        """Put back what was outside; state that this step's optimiser made first was nothing there before."""
        if not self.cores_turn:
            return
        known = {id(held) for held, _, _ in self.outside}
        with torch.no_grad():
            for held, mask, before in self.outside:
                held.copy_(torch.where(mask, held, before))
            for parameter, mask in self._cut():
                for held in self._state(parameter):
                    if id(held) not in known:
                        held.mul_(mask)
        self.outside = []

    def _cut(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Parameters of which a part is the core's, with its mask."""
        for name, parameter in self.learner.model.named_parameters():
            mask = self.inside.get(name, False)
            if isinstance(mask, Tensor):
                yield parameter, mask

    def _state(self, parameter: nn.Parameter) -> list[Tensor]:
        """What the optimiser holds of the parameter's size."""
        state = self.learner.optimizer.state.get(parameter, {})
        return [value for value in state.values() if isinstance(value, Tensor) and value.shape == parameter.shape]


def transform(lab: Lab, model: nn.Module, knobs: MaskedPartialKnobs) -> nn.Module:
    model.core = make_core(model, knobs, seed=lab.seed)
    return model


def attach(lab: Lab, phase: str, learner: Learner, until: Until, knobs: MaskedPartialKnobs) -> list[Hook]:
    turn = Alternate(learner, knobs, density=core_density(knobs, lab.spec.shape, lab.spec.length))
    step, signature, schedule = learner.step, learner.signature, learner.schedule

    def in_turn(loop: Loop, batch: Batch) -> Tensor:
        return plain_step(loop, batch, model=turn.core) if turn.cores_turn else step(loop, batch)

    learner.step = in_turn
    learner.signature = lambda: (signature(), turn.cores_turn)
    learner.schedule = lambda progress: schedule(progress) * (knobs.core_rate if turn.cores_turn else 1.0)
    return [turn]


def finish(lab: Lab, outcome: Outcome, knobs: MaskedPartialKnobs) -> Outcome:
    """The full network by itself, and the core, cut out of it, as an operating point beside it."""
    core: Any = outcome.model.core
    alone = core.standalone()
    outcome.points["core"] = lab.calling(alone)
    outcome.cuts["core"] = alone
    outcome.model = merged(outcome.model)
    return outcome
