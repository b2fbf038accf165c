"""Dynamic sparse training by masks (MEST, Yuan et al., NeurIPS 2021): prune by magnitude, grow at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from training.loop import Batch, Hook, Learner, Loop
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import Timetable
from training.models.classifier import Classifier
from training.models.images import ImageShape
from training.seeds import derive


def draw(weight: Tensor, active: int, generator: torch.Generator) -> Tensor:
    """A mask like `weight` with so many weights active, uniform over all such masks."""
    chosen = torch.randperm(weight.numel(), generator=generator)[:active]
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[chosen] = True
    return mask.view(weight.shape).to(weight.device)


def prune(weight: Tensor, mask: Tensor, active: int) -> Tensor:
    """The mask with its so many largest |w| left."""
    sizes = weight.detach().abs().masked_fill(~mask, -1.0).flatten()
    left = torch.zeros_like(mask).flatten()
    left[sizes.topk(active).indices] = True
    return left.view_as(mask)


def grow(mask: Tensor, active: int, generator: torch.Generator) -> Tensor:
    """The mask with weights that are off turned on at random, until so many are active."""
    off = (~mask).flatten().nonzero().flatten()
    chosen = torch.randperm(len(off), generator=generator)[: max(0, active - int(mask.sum()))]
    grown = mask.flatten().clone()
    grown[off[chosen.to(off.device)]] = True
    return grown.view_as(mask)


def effective(shape: ImageShape, frozen: int, densities: Sequence[float]) -> float:
    """Share of a step's executed FLOPs that hardware which skips masked weights would execute, in closed form.

    Only products with sparse weights count less: the stem, the head and the scores of attention are dense.
    """
    costs, saved = replace(shape, frozen=frozen).part_flops(), 0.0
    for number, (block, density) in enumerate(zip(shape.blocks, densities, strict=True)):
        scores = (2 if number < frozen else 7) * block.attention_macs
        saved += (1 - density) * (costs[number + 1] - scores)
    return 1 - saved / sum(costs)


class Masks(Hook):
    """Holds masked weights at zero and moves the masks once per interval; blocks that are frozen keep theirs.

    The network executes all products: what the masks would save goes into `learner.discount` alone.
    """

    def __init__(self, learner: Learner, knobs: SpfdeKnobs, timetable: Timetable, seed: int) -> None:
        assert isinstance(learner.model, Classifier)
        self.learner, self.knobs, self.timetable, self.seed = learner, knobs, timetable, seed
        self.shape = learner.model.shape
        self.blocks = [dict(_sparse(block, str(number))) for number, block in enumerate(learner.model.blocks)]
        self.masks: dict[str, Tensor] = {}
        self.densities = [1.0] * len(self.blocks)

    def on_start(self, loop: Loop) -> None:
        """Masks at the target sparsity, the same in every layer; the first layer and the head are dense."""
        for block in self.blocks:
            for name, weight in block.items():
                generator = torch.Generator().manual_seed(derive(self.seed, "mask", name))
                self.masks[name] = draw(weight, self._active(weight, 0.0), generator)
        self._apply()
        self._measure()

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        frozen = self.timetable.frozen(loop.step)
        self.learner.discount["density"] = effective(self.shape, frozen, self.densities)
        loop.note("density", sum(self.densities) / len(self.densities))
        return batch

    def before_update(self, loop: Loop) -> None:
        for name, weight in self._weights():
            if weight.grad is not None:
                weight.grad.mul_(self.masks[name])

    def after_step(self, loop: Loop) -> None:
        if self.timetable.begins(loop.step):
            was, now = self.timetable.frozen(loop.step - 1), self.timetable.frozen(loop.step)
            margin = self.knobs.margin_at(loop.step / self.timetable.steps)
            for number, block in enumerate(self.blocks[was:], start=was):
                self._move(block, 0.0 if number < now else margin, loop.step)
            self._measure()
        self._apply()

    def _move(self, block: dict[str, nn.Parameter], margin: float, step: int) -> None:
        """Prune and grow the weights of a block; without a margin they are only brought to the target."""
        below = margin if self.knobs.growth == "EM" else 0.0
        above = margin - below
        for name, weight in block.items():
            left = prune(weight, self.masks[name], self._active(weight, -below))
            generator = torch.Generator().manual_seed(derive(self.seed, "mask", name, step))
            self.masks[name] = grow(left, self._active(weight, above), generator)
            weight.data.mul_(left)

    def _active(self, weight: Tensor, more: float) -> int:
        return round((1 - self.knobs.sparsity + more) * weight.numel())

    def _apply(self) -> None:
        for name, weight in self._weights():
            weight.data.mul_(self.masks[name])

    def _measure(self) -> None:
        for number, block in enumerate(self.blocks):
            active = sum(int(self.masks[name].sum()) for name in block)
            self.densities[number] = active / sum(weight.numel() for weight in block.values())
        self.learner.densities = {
            f"blocks.{name}.weight": int(mask.sum()) / mask.numel() for name, mask in self.masks.items()
        }

    def _weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, weight) for block in self.blocks for name, weight in block.items())

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self.masks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.masks = {name: mask.to(self.masks[name].device) for name, mask in state["masks"].items()}
        self._measure()


def _sparse(block: nn.Module, name: str) -> Iterator[tuple[str, nn.Parameter]]:
    """The convolutions and linear layers of a block, by name."""
    for path, module in block.named_modules(prefix=name):
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert isinstance(module.weight, nn.Parameter)
            yield path, module.weight
