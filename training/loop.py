"""The one training loop. Nothing in this file knows a method by name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from training.optim import Schedule
from training.orders import Order
from training.precision import Precision
from training.records import Purpose

if TYPE_CHECKING:
    from training.lab import Lab

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Until:
    """Where a phase stops: the first limit reached wins. Limits count from the phase's start."""

    steps: int | None = None
    flops: float | None = None
    tokens: int | None = None

    def share(self, fraction: float) -> Until:
        """A part of this budget."""
        steps = None if self.steps is None else max(1, round(fraction * self.steps))
        tokens = None if self.tokens is None else max(1, round(fraction * self.tokens))
        return Until(steps, None if self.flops is None else fraction * self.flops, tokens)

    def progress(self, loop: Loop) -> float:
        """Spent share of the budget, in [0, 1]."""
        limits = ((loop.step, self.steps), (loop.flops, self.flops), (loop.tokens, self.tokens))
        return min(1.0, max((done / limit for done, limit in limits if limit is not None), default=0.0))


class Hook:
    """Extension points of one fit; override what you need. A hook never assumes that a gradient exists."""

    def on_start(self, loop: Loop) -> None:
        """Install structure; a checkpoint, restored after this, fills it."""

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        """Once per optimiser step, before its micro-batches."""
        return batch

    def before_update(self, loop: Loop) -> None:
        """Gradients are complete and not yet clipped."""

    def after_step(self, loop: Loop) -> None:
        """The step is done and counted."""

    def on_end(self, loop: Loop) -> None:
        """The phase is over; also when it was over before and has only been loaded."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


def plain_step(loop: Loop, batch: Batch, model: nn.Module | None = None) -> Tensor:
    """Forward, backward and one update, the batch cut into the lab's micro-batches. Returns the mean loss."""
    losses = []
    for micro in loop.micro_batches(batch):
        loss = loop.loss(micro, model) / loop.lab.micro_batches
        loop.backward(loss)
        losses.append(loss.detach())
    loop.update()
    return torch.stack(losses).sum()


StepFn = Callable[["Loop", Batch], Tensor]


@dataclass
class Learner:
    """Everything one optimisation touches; a method changes any of it before fitting.

    `signature` names the live part of the network, for the FLOP count. `discount` holds, by what would save them (its
    `density`, its `bits`), the shares of the executed FLOPs that ideal hardware would execute; their product makes the
    effective FLOPs. `densities` are the shares of parameters' values that are not held at zero, by name, for methods
    that discount product by product: shares of whole steps multiply only where they lie evenly. State made inside a
    step function is lost at a resume unless it is declared in `carry`. Steps are booked as `purpose`: training, or the
    making of weights that the method takes as given (`source`).
    """

    model: nn.Module
    loss: Callable[[nn.Module, Batch], Tensor]
    optimizer: torch.optim.Optimizer
    order: Order
    schedule: Schedule = lambda progress: 1.0
    clip_norm: float = 0.0
    step: StepFn = plain_step
    precision: Precision = nullcontext
    signature: Callable[[], object] = lambda: "whole"
    discount: dict[str, float] = field(default_factory=dict)
    densities: dict[str, float] = field(default_factory=dict)
    carry: dict[str, Any] = field(default_factory=dict)
    purpose: Purpose = Purpose.TRAIN

    def __post_init__(self) -> None:
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])


class Loop:
    """One phase of training in progress. A step function is written with three verbs: loss, backward, update."""

    def __init__(self, lab: Lab, phase: str, learner: Learner, until: Until, hooks: Sequence[Hook]) -> None:
        self.lab, self.phase, self.learner, self.until, self.hooks = lab, phase, learner, until, tuple(hooks)
        self.step, self.flops, self.tokens, self.evaluated = 0, 0.0, 0, 0
        self.notes: dict[str, float] = {}
        self.last_loss: Tensor = torch.tensor(float("nan"))

    @property
    def progress(self) -> float:
        return self.until.progress(self)

    def micro_batches(self, batch: Batch) -> Iterator[Batch]:
        parts = self.lab.micro_batches
        pieces = {name: tensor.chunk(parts) for name, tensor in batch.items()}
        return ({name: piece[i] for name, piece in pieces.items()} for i in range(parts))

    def loss(self, batch: Batch, model: nn.Module | None = None) -> Tensor:
        with self.learner.precision():
            return self.learner.loss(model or self.learner.model, batch)

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Clip, set the rate for the present progress, step the optimiser, drop the gradients."""
        for hook in self.hooks:
            hook.before_update(self)
        optimizer, rate = self.learner.optimizer, self.learner.schedule(self.progress)
        if self.learner.clip_norm:
            trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(trained, self.learner.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def note(self, name: str, value: float) -> None:
        """Tell what the method is doing, e.g. its active share; recorded as `method/<name>` on logging steps."""
        self.notes[name] = value

    def state_dict(self) -> dict[str, Any]:
        learner = self.learner
        return {
            "counts": {name: getattr(self, name) for name in ("step", "flops", "tokens", "evaluated")},
            "model": learner.model.state_dict(),
            "optimizer": learner.optimizer.state_dict(),
            "order": learner.order.state_dict(),
            "hooks": [hook.state_dict() for hook in self.hooks],
            "carry": {name: part.state_dict() for name, part in learner.carry.items()},
            "rng": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        learner = self.learner
        for name, value in state["counts"].items():
            setattr(self, name, value)
        learner.model.load_state_dict(state["model"])
        learner.optimizer.load_state_dict(state["optimizer"])
        learner.order.load_state_dict(state["order"])
        for hook, saved in zip(self.hooks, state["hooks"], strict=True):
            hook.load_state_dict(saved)
        for name, part in learner.carry.items():
            part.load_state_dict(state["carry"][name])
        torch.set_rng_state(state["rng"][0])
        if len(state["rng"]) == 1 + torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["rng"][1:])


def advance(loop: Loop) -> None:
    """One step: a batch, the learner's step function, its bill, the hooks and theirs."""
    start, lab, learner = time.perf_counter(), loop.lab, loop.learner
    apart = lab.ledger.apart
    index = learner.order.take(lab.batch_size)
    batch = lab.task.batch(index)
    if loop.hooks:
        with lab.ledger.step(loop.phase, _key(learner, batch), part="before", purpose=learner.purpose) as extra:
            for hook in loop.hooks:
                batch = hook.before_step(loop, batch)
        loop.flops += sum(extra.values())
    key = _key(learner, batch)
    with lab.ledger.step(
        loop.phase, key, lambda: math.prod(learner.discount.values()), purpose=learner.purpose
    ) as cost:
        loop.last_loss = learner.step(loop, batch)
    tokens = len(index) * lab.task.tokens_per_example
    loop.step, loop.flops, loop.tokens = loop.step + 1, loop.flops + sum(cost.values()), loop.tokens + tokens
    if loop.hooks:
        with lab.ledger.step(loop.phase, key, part="after", purpose=learner.purpose) as extra:
            for hook in loop.hooks:
                hook.after_step(loop)
        loop.flops += sum(extra.values())
    line = lab.ledger.line(loop.phase, learner.purpose)
    line.examples, line.tokens = line.examples + len(index), line.tokens + tokens
    line.wall_seconds += time.perf_counter() - start - (lab.ledger.apart - apart)


def _key(learner: Learner, batch: Batch) -> str:
    """All that a step's count depends on: the live part of the network, and the batch's shapes."""
    return f"{learner.signature()}|{[tuple(tensor.shape) for tensor in batch.values()]}"
