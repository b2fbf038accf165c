"""FracTrain: a precision for the forward and backward pass, and a hook that decides how fine it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import optim
from training.lab import Lab
from training.loop import Batch, Hook, Learner, Loop, Until
from training.methods.fractrain.card import FracTrainKnobs
from training.methods.fractrain.costs import least_percent
from training.methods.fractrain.gates import Chooser
from training.methods.fractrain.indicator import Indicator
from training.methods.fractrain.simulation import Bill, Simulation
from training.models.classifier import Classifier
from training.outcome import Outcome
from training.seeds import reseed


class Fractional(Hook):
    """Counts turning points, sets the bits or the target of every step, and books what the bits would have cost."""

    def __init__(self, lab: Lab, learner: Learner, knobs: FracTrainKnobs, *, steps: int) -> None:
        model, self.learner, self.knobs = learner.model, learner, knobs
        self.simulation = Simulation(
            model, exempt=[last_weight(model)], momentum=knobs.range_momentum, clip=knobs.clip,
            stochastic=knobs.stochastic,
        )  # fmt: skip
        self.chooser: Chooser | None = None
        if knobs.mode != "pfq":
            assert isinstance(model, Classifier), "the card refuses gates on other networks"
            self.chooser = Chooser(model, knobs, self.simulation, batch_size=lab.batch_size)
        self.indicator = Indicator(knobs.eps, knobs.alpha, knobs.window, knobs.most_turns)
        self.epoch = max(1, round(knobs.epoch * steps))
        self.losses = torch.zeros((), device=lab.device)
        self.turns = 0
        self.share = 1.0
        self._set(0)

    @contextmanager
    def context(self) -> Iterator[None]:
        """Inside it the network runs at the bits of the present step."""
        masked = self.learner.discount.get("density", 1.0) < 1
        self.simulation.densities = self.learner.densities if masked else None
        with ExitStack() as stack:
            stack.enter_context(self.simulation)
            if self.chooser is not None:
                stack.enter_context(self.chooser.installed())
            yield

    def loss(self, model: nn.Module, batch: Batch, plain: Any) -> Tensor:
        """The task's loss and, where gates chose, what their choice costs."""
        loss: Tensor = plain(model, batch)
        if self.chooser is None:
            return loss
        return loss + self.chooser.penalty(loss, self.knobs.target_at(self.turns))

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self._set(self.indicator.turns)
        self.simulation.bill = Bill()
        return batch

    def before_update(self, loop: Loop) -> None:
        """The bill knows of weights that are held at zero: what they spare of the whole step is in it already.

        With gates the ledger's number is on the device: asking for it here is the one wait of a step.
        """
        discount, self.share = loop.learner.discount, self.simulation.bill.share
        discount["bits"] = self.share / discount.get("density", 1.0)

    def after_step(self, loop: Loop) -> None:
        self.losses += loop.last_loss.detach()
        if loop.step % self.epoch == 0:
            self.indicator.see(float(self.losses) / self.epoch)
            self.losses.zero_()
        loop.note("turning_points", self.indicator.turns)
        loop.note("threshold", self.indicator.eps)
        loop.note("loss_scale", self.indicator.scale)
        loop.note("effective_share", self.share)
        if self.chooser is None:
            loop.note("bits", self.simulation.bits.activation)
            loop.note("error_bits", self.simulation.bits.error)
        else:
            if loop.step % loop.lab.log_every == 0 or loop.progress >= 1:  # asking for it waits for the device
                loop.note("cost_percent", float(self.chooser.percent()))
            loop.note("target_percent", self.knobs.target_at(self.turns))
            loop.note("least_percent", least_percent(self.knobs.options))

    def state_dict(self) -> dict[str, Any]:
        return {
            "indicator": self.indicator.state_dict(),
            "losses": self.losses,
            "turns": self.turns,
            "ranges": self.simulation.ranges,
            "gates": {} if self.chooser is None else self.chooser.gates.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.losses.device
        self.indicator.load_state_dict(state["indicator"])
        self.losses = state["losses"].to(device)
        self.simulation.ranges = {name: extent.to(device) for name, extent in state["ranges"].items()}
        if self.chooser is not None:
            self.chooser.gates.load_state_dict(state["gates"])
        self._set(state["turns"])

    def _set(self, turns: int) -> None:
        """The bits of a step after so many turning points; gates choose theirs anew for every batch."""
        self.turns = turns
        if self.chooser is None:
            self.simulation.bits = self.knobs.progressive[turns]


def last_weight(model: nn.Module) -> Tensor:
    """The weight of the last layer, which stays fp32: the head's, or the embedding's where they are one."""
    last = getattr(model, "head", None) or model.get_submodule("embedding")
    weight: Tensor = last.get_parameter("weight")
    return weight


def attach(lab: Lab, phase: str, learner: Learner, until: Until, knobs: FracTrainKnobs) -> list[Hook]:
    reseed(lab.seed, "gates", phase)
    fractional = Fractional(lab, learner, knobs, steps=lab.steps(until, learner.model))
    around, plain = learner.precision, learner.loss

    @contextmanager
    def precision() -> Iterator[None]:
        with around(), fractional.context():
            yield

    learner.precision = precision
    learner.loss = lambda model, batch: fractional.loss(model, batch, plain)
    if fractional.chooser is not None:
        _train_too(learner, fractional.chooser.gates.to(lab.device), lab)
    return [fractional]


def _train_too(learner: Learner, gates: nn.Module, lab: Lab) -> None:
    """Hand the gates to the optimiser of the network, grouped for weight decay as the network is."""
    for group in optim.optimizer(gates, lab.spec.optim).param_groups:
        learner.optimizer.add_param_group({**group, "initial_lr": group["lr"]})


def finish(lab: Lab, outcome: Outcome, knobs: FracTrainKnobs) -> Outcome:
    """Score at the bits of the last phase's last step, on the running ranges, with its gates.

    An attacker sees the rounded network too, with the gradient that passes rounding unchanged.
    """
    fractional = next(hook for hook in lab.hooks if isinstance(hook, Fractional))

    def simulated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def run(*inputs: Tensor) -> Tensor:
            with fractional.context():
                return function(*inputs)

        return run

    def rounded_loss(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(outcome.model(images), labels, reduction="none")

    points = {name: simulated(point) for name, point in outcome.points.items()}
    attacks = {name: simulated(attack) for name, attack in (outcome.attacks | {"rounded": rounded_loss}).items()}
    return replace(outcome, predict=simulated(lab.predictor(outcome)), points=points, attacks=attacks)
