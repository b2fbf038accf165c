"""Evolving Subnetwork Training: one phase, and a hook that draws the subnetwork of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from training.lab import Lab
from training.loop import Batch, Hook, Learner, Loop, Until
from training.methods.est.card import Active, EstKnobs, active, block_flops, pinned
from training.models.decoder import Decoder
from training.models.shape import Shape
from training.models.surgery import Gate, gated, open_all, zero_gradients
from training.seeds import derive
from training.spec import RunSpec

CPU = torch.device("cpu")


def choose(rows: int, of: int, count: int, generator: torch.Generator) -> Tensor:
    """[rows, count]: in each row so many different indices below `of`, uniform over all subsets, sorted."""
    drawn = [torch.randperm(of, generator=generator)[:count] for _ in range(rows)]
    return torch.stack(drawn).sort(dim=1).values


def draw(knobs: EstKnobs, shape: Shape, stage: int, *, seed: int, step: int, device: torch.device = CPU) -> list[Gate]:
    """The subnetwork of a step, a gate per layer: a function of seed and step alone, so equal on every rank."""
    counts, rows = active(knobs, shape, stage), 1 if knobs.shared_draw else shape.layers
    generator = torch.Generator().manual_seed(derive(seed, "subnetwork", step))
    runs = draw_layers(knobs, shape.layers, counts, generator)
    heads, groups = draw_heads(shape, counts, rows, generator)
    neurons = choose(rows, shape.mlp, counts.mlp, generator) if counts.mlp < shape.mlp else None
    parts = (_per_layer(part, shape.layers, device) for part in (heads, groups, neurons))
    scales = (shape.heads / counts.heads, shape.mlp / counts.mlp) if knobs.inverse_scale else (1.0, 1.0)
    layer_scales = scale_layers(knobs, shape.layers, counts)
    return [
        Gate(index[0], index[1], index[2], run, *scales, layer_scale=scale)
        for index, run, scale in zip(zip(*parts, strict=True), runs, layer_scales, strict=True)
    ]


def draw_heads(
    shape: Shape, counts: Active, rows: int, generator: torch.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """Active query heads and active key-value heads, a row each; None is all."""
    if counts.heads == shape.heads:
        return None, None
    queries = shape.heads // shape.kv_heads
    if counts.groups < shape.kv_heads:
        groups = choose(rows, shape.kv_heads, counts.groups, generator)
        return (groups[:, :, None] * queries + torch.arange(queries)).flatten(1), groups
    within = choose(rows * shape.kv_heads, queries, counts.heads // shape.kv_heads, generator)
    first = torch.arange(shape.kv_heads)[:, None] * queries
    return (within.view(rows, shape.kv_heads, -1) + first).flatten(1), None


def draw_layers(knobs: EstKnobs, total: int, counts: Active, generator: torch.Generator) -> list[bool]:
    """Which layers run; pinned ones always do."""
    if counts.layers == total:
        return [True] * total
    fixed = pinned(knobs, total)
    free = total - fixed
    if knobs.layer_draw == "bernoulli":
        drawn = (torch.rand(free, generator=generator) < knobs.layers).tolist()
    else:
        chosen = choose(1, free, int(counts.layers) - fixed, generator)[0].tolist()
        drawn = [layer in chosen for layer in range(free)]
    return [True, *drawn, True] if fixed else drawn


def scale_layers(knobs: EstKnobs, total: int, counts: Active) -> list[float]:
    """Factor of each layer's change of the residual stream: total / active for layers that were drawn by chance."""
    fixed = pinned(knobs, total)
    if knobs.layer_scale == "none" or counts.layers == fixed:
        return [1.0] * total
    drawn = [(total - fixed) / (counts.layers - fixed)] * (total - fixed)
    return [1.0, *drawn, 1.0] if fixed else drawn


def _per_layer(part: Tensor | None, layers: int, device: torch.device) -> Sequence[Tensor | None]:
    """One index per layer, sent to the device together."""
    return [None] * layers if part is None else part.to(device, non_blocking=True).expand(layers, -1).unbind()


class Evolve(Hook):
    """Gives the layers the gates of a fresh subnetwork before every step; its micro-batches share them."""

    def __init__(self, model: nn.Module, knobs: EstKnobs, spec: RunSpec, *, seed: int, steps: int) -> None:
        self.model, self.knobs, self.seed, self.steps, self.context = model, knobs, seed, steps, spec.length
        # a method that owns the phases may train networks of other sizes than the spec's
        self.shape: Shape = model.shape if isinstance(model, Decoder) else spec.shape
        self.counts = active(knobs, self.shape, 3)

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        shape, stage, context = self.shape, self.knobs.stage(loop.step, self.steps), self.context
        gates = draw(self.knobs, shape, stage, seed=self.seed, step=loop.step, device=loop.lab.device)
        for layer, gate in zip(gated(self.model), gates, strict=True):
            layer.gate = gate
        self.counts = replace(active(self.knobs, shape, stage), layers=sum(gate.runs for gate in gates))
        loop.note("stage", stage)
        loop.note("active_share", block_flops(shape, context, self.counts) / shape.block_train_flops(context))
        return batch

    def before_update(self, loop: Loop) -> None:
        """Layers left out follow the rule of inactive slices: gradients of zeros, not none."""
        zero_gradients(self.model)

    def on_end(self, loop: Loop) -> None:
        open_all(self.model)

    @property
    def learning(self) -> int:
        """Running layers that learn: where another method froze some, a layer's cost depends on which ones run."""
        layers = (layer for layer in gated(self.model) if layer.gate.runs)
        return sum(any(parameter.requires_grad for parameter in layer.parameters()) for layer in layers)


def attach(lab: Lab, phase: str, learner: Learner, until: Until, knobs: EstKnobs) -> list[Hook]:
    evolve = Evolve(learner.model, knobs, lab.spec, seed=lab.seed, steps=lab.steps(until, learner.model))
    around = learner.signature
    learner.signature = lambda: (around(), evolve.counts, evolve.learning)
    return [evolve]
