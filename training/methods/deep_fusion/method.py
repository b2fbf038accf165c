"""Deep Fusion: train narrow networks, fuse them into a wider one, train on; once or as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from math import sqrt
from typing import Any, NamedTuple

import torch
from torch import Tensor

from training import optim
from training.clock import Segment
from training.lab import Lab
from training.loop import Hook, Loop, Until
from training.methods.deep_fusion.card import DeepFusionKnobs, Node, shape_of, shares, tree
from training.methods.deep_fusion.fusion import Network, copies, deviation, fuse, group_norms, squares
from training.models.decoder import Decoder
from training.models.t5 import T5
from training.orders import Shuffled
from training.outcome import Outcome
from training.records import OUTSIDE_TRAINING, Purpose
from training.seeds import derive


class Interaction(Hook):
    """Notes what the fusion changed, how large the gradient off the diagonal is, and the cost so far without twins."""

    def __init__(self, outside: dict[str, Tensor], found: dict[str, float], path_flops: float) -> None:
        self.outside, self.found, self.path_flops = outside, found, path_flops

    def before_update(self, loop: Loop) -> None:
        if (loop.step + 1) % loop.lab.log_every == 0:
            off, whole = squares(loop.learner.model, self.outside)
            loop.note("off_diagonal_gradient", sqrt(off))
            loop.note("off_diagonal_share", off / whole if whole else 0.0)

    def after_step(self, loop: Loop) -> None:
        for name, value in self.found.items():
            loop.note(name, value)
        loop.note("flops_fused_only", loop.flops)
        loop.note("flops_critical_path", self.path_flops + loop.flops)


class Total(NamedTuple):
    """Executed training FLOPs and wall seconds."""

    flops: float
    seconds: float


class Totals(NamedTuple):
    """What a tree cost so far, counted in three ways."""

    fused: Total
    """The last phase alone."""
    path: Total
    """With the longest phase of each level before it: what is waited for when a level's networks train in parallel."""
    everything: Total
    """All phases: what was computed."""


def run(lab: Lab, knobs: DeepFusionKnobs) -> Outcome:
    """Train the nodes of the tree from the leaves up; of each only the next level is made."""
    nodes = tree(knobs)
    trained: dict[str, Network] = {}
    for node, limit in zip(nodes, divided(lab, knobs), strict=True):
        model, hooks = _made(lab, knobs, node, [trained.pop(name) for name in node.parts])
        changes: dict[str, Any] = {}
        if node is not nodes[-1]:
            changes["order"] = Shuffled(lab.task.size, derive(lab.seed, "order", node.name))
        if node.parts:
            changes["schedule"] = optim.schedule(lab.spec.optim.model_copy(update={"warmup": knobs.rewarm}))
        lab.fit(node.name, lab.learner(model, **changes), until=limit, hooks=hooks)
        trained[node.name] = model
    return Outcome(trained[nodes[-1].name], notes=told(totals(lab, nodes)))


def divided(lab: Lab, knobs: DeepFusionKnobs) -> list[Until]:
    """The arm's budget cut into one limit per node: the same steps whether it counts steps, tokens or FLOPs."""
    spec, budget = lab.spec, lab.budget
    if budget.flops is not None:
        shapes = [shape_of(node, knobs, spec.shape) for node in tree(knobs)]
        costs = [share * spec.flops_per_step_of(shape) for share, shape in zip(shares(knobs), shapes, strict=True)]
        return [Until(flops=budget.flops * cost / sum(costs)) for cost in costs]
    marks = [round(spec.steps() * end) for end in accumulate(shares(knobs), initial=0.0)]
    steps = [max(1, after - before) for before, after in pairwise(marks)]
    if budget.tokens is not None:
        return [Until(tokens=count * spec.tokens_per_step) for count in steps]
    return [Until(steps=count) for count in steps]


def totals(lab: Lab, nodes: Sequence[Node]) -> Totals:
    """The three totals of these nodes' phases."""
    costs = {node.name: _cost(lab, node.name) for node in nodes}
    levels = [[costs[node.name] for node in nodes if node.level == level] for level in range(nodes[-1].level + 1)]
    path = [Total(*map(max, zip(*level, strict=True))) for level in levels]
    return Totals(costs[nodes[-1].name], _sum(path), _sum(costs.values()))


def told(found: Totals) -> dict[str, str]:
    """The three totals as notes."""
    names = ("fused phase", "fused phase and longest path of leaves", "all phases")
    return {
        f"cost of {name}": f"{total.flops:.4g} FLOPs, {total.seconds:.1f} s"
        for name, total in zip(names, found, strict=True)
    }


def _sum(parts: Iterable[Total]) -> Total:
    return Total(*map(sum, zip(*parts, strict=True)))


def _cost(lab: Lab, phase: str) -> Total:
    lines = [
        line for (name, purpose), line in lab.ledger.lines.items() if name == phase and purpose not in OUTSIDE_TRAINING
    ]
    return Total(sum(line.executed for line in lines), sum(line.wall_seconds for line in lines))


def _made(lab: Lab, knobs: DeepFusionKnobs, node: Node, parts: Sequence[Network]) -> tuple[Network, list[Hook]]:
    """A node before its training: a fresh leaf, or the fusion of its parts and what watches it."""
    model = lab.build(shape_of(node, knobs, lab.spec.shape), name=f"build-{node.name}")
    assert isinstance(model, Decoder | T5), "the card names the tasks whose networks can be fused"
    if not parts:
        return model, []
    if knobs.norm == "grouped":
        group_norms(model, knobs.nets**node.level)
    sources = parts
    if knobs.self_fusion:
        sources = copies(parts[0], knobs.nets, noise=knobs.noise, seed=derive(lab.seed, "noise", node.name))
    outside = fuse(sources, model, off_diagonal=knobs.off_diagonal)
    found = lab.keep(f"{node.name}-start", partial(changed, lab, node.name, parts, model))
    before = [other for other in tree(knobs) if other.level < node.level]
    return model, [Interaction(outside, found, totals(lab, before).path.flops)]


def changed(lab: Lab, phase: str, parts: Sequence[Network], fused: Network) -> dict[str, float]:
    """What the fusion changed, on a batch of the training data: its logits against the mean of its parts', its loss."""
    batch = lab.task.batch(torch.arange(min(lab.batch_size // lab.micro_batches, lab.task.size)))
    logits, losses = [], []
    with lab.clock.during(Segment.EVALUATING), lab.ledger.spend(phase, Purpose.EVAL), torch.no_grad():
        for model in (*parts, fused):
            model.eval()
            with model.register_forward_hook(lambda _, __, output: logits.append(output)):
                losses.append(float(lab.task.loss(model, batch)))
    largest, size = deviation(logits[-1], logits[:-1])
    mean = sum(losses[:-1]) / len(parts)
    return {"deviation": largest, "logit_size": size, "loss_of_parts": mean, "loss_at_fusion": losses[-1]}
