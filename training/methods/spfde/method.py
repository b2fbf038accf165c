"""Layer freezing and data sieving: hooks that freeze blocks, mask weights and exchange examples, on one clock."""

from __future__ import annotations

from dataclasses import replace

from training.lab import Lab
from training.loop import Hook, Learner, Until
from training.methods.spfde.freezing import Freeze
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import Timetable, times
from training.methods.spfde.sieving import Forgetting, Sieve, Sieving
from training.methods.spfde.sparsity import Masks


def until(until: Until, knobs: SpfdeKnobs) -> Until:
    """At equal epochs the set in use is passed through as often as the whole one; a budget in FLOPs stays as it is."""
    return replace(until.share(knobs.share_of_steps), flops=until.flops)


def attach(lab: Lab, phase: str, learner: Learner, until: Until, knobs: SpfdeKnobs) -> list[Hook]:
    freezes = times(knobs, lab.spec.shape, lab.spec.length)
    timetable = Timetable(lab.steps(until, learner.model), knobs.intervals, freezes)
    freeze = Freeze(learner, timetable, own_rate=knobs.own_rate, still_norms=knobs.still_norms)
    around = learner.signature
    learner.signature = lambda: (around(), freeze.frozen)
    hooks: list[Hook] = [freeze]
    if knobs.sparsity:
        hooks.append(Masks(learner, knobs, timetable, lab.seed))
    if knobs.sieve:
        size = lab.task.size
        sieve = Sieve(learner.order, size, round(knobs.sieve * size), lab.seed)
        hooks.append(Sieving(learner, sieve, Forgetting(size, lab.device), knobs, timetable))
    return hooks
