"""How long training takes on a device: what a step demands, and the device's price of each demand. Torch-free.

A step's time is a sum of five terms, each a closed form of the shape times seconds that a worker measured on itself.
One rate for all FLOPs is not enough: on a small network the calls, the soft-max over the vocabulary and the
element-wise work between matrix products take most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from training.models.shape import Architecture
from training.spec import RunSpec


class Demand(NamedTuple):
    """What a step asks of a device; as `Pace`, the seconds that a device takes for one unit of each."""

    layers: float
    """Layer calls: what Python and the kernel launches cost whatever the size."""
    flops: float
    logits: float
    """Tokens x vocabulary: the soft-max and its gradient."""
    activations: float
    """Values read and written between matrix products, over all layers."""
    parameters: float
    """What clipping and the optimiser touch."""

    def seconds(self, pace: Pace) -> float:
        return sum(amount * price for amount, price in zip(self, pace, strict=True))


Pace = Demand


def step(
    shape: Architecture, *, tokens: int, context: int, micro_batches: int = 1, flops: float | None = None
) -> Demand:
    """One optimiser step; `flops` per token where a method executes other than dense training does.

    What a method saves or adds lies in the blocks: their element-wise work goes with their FLOPs, the calls do not.
    """
    dense = shape.train_flops(context)
    flops = dense if flops is None else flops
    share = max(0.0, flops - shape.head_train_flops) / (dense - shape.head_train_flops)
    return Demand(
        layers=micro_batches * shape.calls * max(1.0, share),
        flops=tokens * flops,
        logits=tokens * shape.outputs,
        activations=tokens * shape.activations * share,
        parameters=shape.parameters,
    )


def training(spec: RunSpec, pace: Pace) -> float:
    """Seconds of all training steps of a run: its stages, each with its own cost."""
    demands = [(stage.share, _of(spec, stage.flops_per_token)) for stage in spec.stages()]
    return spec.steps() * sum(share * demand.seconds(pace) for share, demand in demands)


def forward(spec: RunSpec, pace: Pace, *, sequences: int) -> float:
    """Seconds of the whole network's forward pass over so many sequences: a third of a step without its update."""
    tokens = sequences * spec.length
    demand = step(spec.shape, tokens=tokens, context=spec.length)
    return demand._replace(parameters=0.0).seconds(pace) / 3


def _of(spec: RunSpec, flops: float) -> Demand:
    tokens, context = spec.tokens_per_step, spec.length
    return step(spec.shape, tokens=tokens, context=context, micro_batches=spec.micro_batches, flops=flops)


def pace_of(prices: Sequence[float] | None) -> Pace | None:
    """A stored price list; None when nothing was measured, or by a release that measured other terms."""
    return Pace(*prices) if prices and len(prices) == len(Pace._fields) else None
