"""Running a part of a network: each layer asks its gate which heads and neurons are active and whether it runs.

Parts are sliced, not masked: the active rows of the weights are gathered and every matrix product has their size, so
the saving is executed. Weights lie unit after unit (a head, a neuron), so a gather copies whole contiguous rows, once
per step and independent of the number of tokens. Gathered weights get gradients of full size that are exactly zero
elsewhere; a layer that does not run gets none (`zero_gradients` fills them). A gate acts in training mode only: in
evaluation mode the whole network runs, unscaled, like dropout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class Gate:
    """What of one layer runs while it trains: everything, until someone narrows it.

    Indices are sorted, without repeats, on the layer's device; None is all. `heads` are query heads, `groups`
    key-value heads; each active group has equally many active heads. The scales multiply what the active heads and
    neurons add (biases excluded), and the layer's whole change of the residual stream.
    """

    heads: Tensor | None = None
    groups: Tensor | None = None
    neurons: Tensor | None = None
    runs: bool = True
    heads_scale: float = 1.0
    neurons_scale: float = 1.0
    layer_scale: float = 1.0


OPEN = Gate()


class Gated(nn.Module):
    """A layer that asks its gate what of it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()

    @property
    def runs(self) -> bool:
        return self.gate.runs or not self.training


def gated(model: nn.Module) -> list[Gated]:
    """The layers that have a gate, first layer first; empty for a model without any."""
    return [layer for layer in model.modules() if isinstance(layer, Gated)]


def open_all(model: nn.Module) -> None:
    """Let the whole network run again."""
    for layer in gated(model):
        layer.gate = Gate()


def zero_gradients(model: nn.Module) -> None:
    """Give layers that train but did not run gradients of zeros: the optimiser treats them like inactive slices."""
    for layer in gated(model):
        for parameter in () if layer.gate.runs else layer.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def rows(weight: Tensor, index: Tensor | None, *, unit: int = 1, scale: float = 1.0) -> Tensor:
    """The rows of the active units, `unit` rows each, times `scale`; the weight itself if all are active."""
    if index is not None:
        weight = weight.view(-1, unit, *weight.shape[1:]).index_select(0, index).flatten(0, 1)
    return weight if scale == 1.0 else weight * scale
