"""Dynamic precision: a gate per block chooses, for each example, among a few pairs of bits.

As in `models.py` of the code: the gate reads the block's input, pools it, embeds it in two layers, and one LSTM shared
over depth remembers what the blocks before chose. Where the code convolves pooled channels 1x1, this is a linear layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.methods.fractrain.card import FracTrainKnobs
from training.methods.fractrain.costs import EMBEDDED, POOLED, REMEMBERED, widths
from training.methods.fractrain.simulation import FP32, Simulation
from training.models.classifier import Classifier

State = tuple[Tensor, Tensor]


def one_hot(probabilities: Tensor) -> Tensor:
    """p[B, K] to its argmax as exact zeros and ones, with the gradient of p."""
    hard = F.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).to(probabilities.dtype)
    return hard + (probabilities - probabilities.detach())


class Gates(nn.Module):
    """The gates of all blocks; a network of its own, trained with the one it watches."""

    def __init__(self, inputs: Sequence[int], options: int) -> None:
        super().__init__()
        self.embed = nn.ModuleList(
            nn.Sequential(nn.Linear(width, POOLED), nn.ReLU(), nn.Linear(POOLED, EMBEDDED)) for width in inputs
        )
        self.memory = nn.LSTMCell(EMBEDDED, REMEMBERED)
        self.choose = nn.Linear(REMEMBERED, options)

    def forward(self, block: int, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """What a block is about to read, [B, C, H, W] or [B, T, D], to one option per example, [B, K] one-hot."""
        pooled = x.flatten(2).mean(2) if x.dim() == 4 else x.mean(1)
        state = self.memory(self.embed[block](pooled), state)
        return one_hot(self.choose(state[0]).softmax(-1)), state


class Chooser:
    """Runs each block once per option inside `installed`, and keeps for each example what its gate chose.

    The network is not changed: hooks of its blocks are there inside the context only.
    """

    def __init__(self, model: Classifier, knobs: FracTrainKnobs, simulation: Simulation, *, batch_size: int) -> None:
        self.blocks, self.knobs, self.simulation, self.batch_size = model.blocks, knobs, simulation, batch_size
        self.options = knobs.options
        self.gates = Gates(widths(model.shape), len(self.options))
        self.weights = [float(block.macs) if knobs.weighting == "macs" else 1.0 for block in model.shape.blocks]
        self.masks: list[Tensor] = []
        self.state: State | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        with ExitStack() as hooks:
            for index, block in enumerate(self.blocks):
                hooks.enter_context(block.register_forward_pre_hook(partial(self._choose, index)))
                hooks.enter_context(block.register_forward_hook(self._mix))
            yield

    def cost(self) -> Tensor:
        """What the examples of the last batch chose: each one's cost over its blocks, [B], in mean blocks of 32 bits.

        Of the three products of a step together, so between 0 and three times the number of blocks.
        """
        masks = torch.stack(self.masks)
        costs = masks.new_tensor([3 * option.step for option in self.options])
        weights = masks.new_tensor(self.weights)
        return ((masks * costs).sum(2) * (weights / weights.mean())[:, None]).sum(0)

    def percent(self) -> Tensor:
        """cp of the last batch: its cost as a percentage of 32-bit blocks."""
        return 100 * self.cost().detach().mean() / (3 * len(self.weights))

    def penalty(self, loss: Tensor, target: float) -> Tensor:
        """The term that pushes the cost towards the target; its sign follows the last batch's cost.

        The sum over a step's images is its batch size times the mean, so that micro-batches change nothing.
        """
        knobs = self.knobs
        price = knobs.beta * self.cost().mean() * (self.batch_size if knobs.price_over == "sum" else 1)
        if knobs.price_cap:
            price = price * (loss.detach() / 10 / price.detach().clamp(min=1e-12)).clamp(max=1)
        return price * push(self.percent(), target, knobs)

    def _choose(self, index: int, block: nn.Module, args: tuple[Tensor, ...]) -> None:
        if index == 0:
            self.masks, self.state = [], None
        mask, self.state = self.gates(index, args[0], self.state)
        self.masks.append(mask)
        self._run_at(0)

    def _mix(self, block: nn.Module, args: tuple[Tensor, ...], first: Tensor) -> Tensor:
        mixed = self._kept(first, 0)
        for option in range(1, len(self.options)):
            self._run_at(option)
            mixed = mixed + self._kept(block.forward(*args), option)
        self.simulation.bits, self.simulation.part = FP32, 1.0
        return mixed

    def _kept(self, output: Tensor, option: int) -> Tensor:
        """An option's output where it was chosen, zero elsewhere."""
        return output * self.masks[-1][:, option].view(-1, *[1] * (output.dim() - 1))

    def _run_at(self, option: int) -> None:
        self.simulation.bits = self.options[option]
        self.simulation.part = self.masks[-1][:, option].detach().mean()


def push(percent: Tensor, target: float, knobs: FracTrainKnobs) -> Tensor:
    """Which way the cost term pushes: down (1) above the target, up (-1) below it, weakly or not at all near it."""
    if knobs.mode == "fractrain":
        levels = [(target, 0.0), (target + knobs.band, 1.0)]
    else:
        levels = [(target - knobs.band, -0.1), (target, 0.1), (target + knobs.band, 1.0)]
    way = torch.full_like(percent, -1.0)
    for start, value in levels:
        way = torch.where(percent >= start, value, way)
    return way
