"""What a method may ask for: a network, phases, costs, storage, cancellation. Scoring and clocks belong to the lab."""

from __future__ import annotations

import math
import re
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from training import optim
from training.account import Account
from training.clock import Clock, Segment
from training.ledger import Ledger
from training.loop import Batch, Hook, Learner, Loop, Until, advance
from training.orders import Shuffled
from training.outcome import Outcome, Predictor
from training.precision import precision
from training.records import EFFECTIVE_SO_FAR, CostLine, Point, Purpose, Score
from training.seeds import reseed
from training.spec import RunSpec

Kept = TypeVar("Kept")


class Cancelled(Exception):
    """The run was asked to stop; raised at a step boundary, after a checkpoint."""


class Diverged(ArithmeticError):
    """The loss is not finite any more; a retry would only repeat it."""


class Task(Protocol):
    """Data, loss and judgement of one kind of problem."""

    size: int
    """Examples in the training part."""
    tokens_per_example: int
    """1 where an example is an image."""

    def build(self, shape: Any = None) -> nn.Module: ...
    def batch(self, index: Tensor) -> Batch: ...
    def loss(self, model: nn.Module, batch: Batch) -> Tensor: ...
    def validate(self, predict: Predictor) -> dict[str, float]:
        """Losses on the validation part by name; `loss` is the one that arms are compared by."""

    def score(self, outcome: Outcome, evals: Sequence[str]) -> list[Score]: ...


class Sink(Protocol):
    """Where points and the bill so far go; returns at once."""

    def put(self, points: Sequence[Point], costs: Sequence[CostLine], *, progress: float) -> None: ...


class Control(Protocol):
    """Asked once per step."""

    def should_stop(self) -> bool: ...


class Store(Protocol):
    """Named states of a run. Every name is kept until the run ends: a later phase may build on an earlier one."""

    def load(self, name: str) -> Any | None: ...
    def save(self, name: str, state: Any, *, step: int) -> None: ...


class Part(Protocol):
    """A method that shares the run with the one that owns its phases."""

    def transform(self, lab: Lab, model: nn.Module) -> nn.Module:
        """Change a freshly built network, leaving the values of the weights that it keeps."""

    def until(self, until: Until) -> Until:
        """Shorten a phase."""

    def attach(self, lab: Lab, phase: str, learner: Learner, until: Until) -> Sequence[Hook]:
        """The hooks of a phase, after changing its learner."""

    def finish(self, lab: Lab, outcome: Outcome) -> Outcome:
        """Say how the trained network predicts."""


class Lab:
    """One run: a spec, a seed, a device. Everything a method does goes through here and is billed."""

    def __init__(
        self,
        spec: RunSpec,
        task: Task,
        *,
        seed: int,
        device: torch.device,
        store: Store,
        sink: Sink,
        control: Control,
        checkpoint_seconds: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self.spec, self.task, self.seed, self.device = spec, task, seed, device
        self.store, self.sink, self.control = store, sink, control
        self.batch_size, self.micro_batches = spec.batch_size, spec.micro_batches
        self.budget = Until(spec.budget.steps, spec.budget.flops, spec.budget.tokens)
        self.ledger, self.clock = Ledger(), clock or Clock()
        self.parts: Sequence[Part] = ()
        self.hooks: Sequence[Hook] = ()
        """Of the last phase: what a part's `finish` may have to know of it."""
        self.log_every = max(1, spec.steps() // 400)
        self.checkpoint_seconds, self._saved_at = checkpoint_seconds, time.monotonic()
        self._names: set[str] = set()

    def build(self, shape: Any = None, *, name: str = "build") -> nn.Module:
        """A fresh network; its weights depend on seed and name alone, so that methods of one seed share them."""
        reseed(self.seed, name)
        model = self.task.build(shape)
        for part in self.parts:
            model = part.transform(self, model)
        return model.to(self.device)

    def learner(self, model: nn.Module, **changes: Any) -> Learner:
        """The spec's loss, optimiser, data order, schedule and precision; `changes` replace any of them."""
        if self.spec.compile:
            model.compile()
        parts: dict[str, Any] = {
            "loss": self.task.loss,
            "order": Shuffled(self.task.size, self.seed),
            "schedule": optim.schedule(self.spec.optim),
            "clip_norm": self.spec.optim.clip_norm,
            "precision": precision(self.spec.precision, self.device),
        }
        if "optimizer" not in changes:
            parts["optimizer"] = optim.optimizer(model, self.spec.optim)
        return Learner(model, **(parts | changes))

    def fit(self, phase: str, learner: Learner, *, until: Until, hooks: Sequence[Hook] = ()) -> Loop:
        """Train until the limit; resumes by the phase's name, and only loads a phase that is finished."""
        self._claim(phase)
        for part in self.parts:
            until = part.until(until)
        for part in self.parts:
            hooks = [*hooks, *part.attach(self, phase, learner, until)]
        self.hooks = hooks
        loop = Loop(self, phase, learner, until, hooks)
        reseed(self.seed, phase)
        for hook in loop.hooks:
            hook.on_start(loop)
        if (saved := self._load(phase)) is not None:
            loop.load_state_dict(saved)
        finished = loop.progress >= 1.0
        learner.model.train()
        with self.clock.during(Segment.TRAINING):
            while loop.progress < 1.0:
                if self.control.should_stop():
                    self._save(phase, loop.state_dict(), step=loop.step)
                    raise Cancelled(f"stopped at step {loop.step} of phase {phase}")
                advance(loop)
                self._watch(loop)
        for hook in reversed(loop.hooks):
            hook.on_end(loop)
        if not finished:
            self._save(phase, loop.state_dict(), step=loop.step)
        reseed(self.seed, "after", phase)
        return loop

    def steps(self, until: Until, model: nn.Module) -> int:
        """Optimiser steps of a fit of `model` within a limit; exact for steps and tokens, by closed form for FLOPs."""
        if until.flops is not None:
            return round(until.flops / self.spec.flops_per_step_of(getattr(model, "shape", self.spec.shape)))
        pairs = ((until.steps, self.budget.steps), (until.tokens, self.budget.tokens))
        return round(self.spec.steps() * min(part / whole for part, whole in pairs if part and whole))

    def keep(self, name: str, make: Callable[[], Kept]) -> Kept:
        """Compute once per run: a resumed attempt gets the stored value, and its bill, back."""
        self._claim(name)
        if (value := self._load(name)) is None:
            value = make()
            self._save(name, value, step=0)
        kept: Kept = value
        return kept

    def predictor(self, outcome: Outcome) -> Predictor:
        """How the finished model predicts: as the method says, else by calling it whole, in evaluation mode."""
        return outcome.predict or self.calling(outcome.model)

    def score(self, outcome: Outcome) -> list[Score]:
        """Held-out loss and the downstream tasks of the spec; billed as `eval`."""
        with self.clock.during(Segment.SCORING), self.ledger.spend("score", Purpose.EVAL):
            outcome.model.eval()
            loss = self.task.validate(self.predictor(outcome))["loss"]
            if not math.isfinite(loss):
                raise Diverged("the validation loss of the finished model is not finite")
            held_out = Score("validation", "loss", "validation", loss, None, 1, 1, higher_is_better=False)
            scores = [held_out, *self.task.score(replace(outcome, predict=self.predictor(outcome)), self.spec.evals)]
            for name, predict in outcome.points.items():
                found = self.task.score(replace(outcome, predict=predict), ())
                found = [replace(held_out, value=self.task.validate(predict)["loss"]), *found]
                scores += [replace(score, metric=f"{score.metric}@{name}") for score in found]
        self.sink.put([], list(self.ledger.lines.values()), progress=1.0)
        return scores

    def account(self) -> Account:
        """Where the wall clock went so far, and what the FLOP count leaves out."""
        ledger = self.ledger
        return Account(clock=self.clock.seconds, signatures=ledger.signatures, uncounted=ledger.uncounted)

    @property
    def peak_bytes(self) -> int:
        """Most memory held so far: of the GPU, or of this process on CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def calling(self, model: nn.Module, context: Callable[[], Any] | None = None) -> Predictor:
        """Predicting by calling a network, in the spec's precision or another."""
        context = context or precision(self.spec.precision, self.device)

        def predict(*inputs: Tensor) -> Tensor:
            with torch.no_grad(), context():
                logits: Tensor = model(*inputs)
                return logits

        return predict

    def _watch(self, loop: Loop) -> None:
        """After a step: log, evaluate and checkpoint where they are due."""
        points: list[Point] = []
        if loop.step % self.log_every == 0 or loop.progress >= 1.0:
            loss = loop.last_loss.item()
            points += [self._point(loop, "train/loss", loss)]
            points += [self._point(loop, f"method/{name}", value) for name, value in loop.notes.items()]
        if (mark := math.floor(loop.progress * self.spec.eval_points)) > loop.evaluated:
            loop.evaluated = mark
            points += [self._point(loop, f"val/{name}", loss) for name, loss in self._validate(loop).items()]
            if (effective := self.ledger.effective) != self.ledger.training[0]:
                points += [self._point(loop, EFFECTIVE_SO_FAR, effective)]
        if points:
            self.sink.put(points, list(self.ledger.lines.values()), progress=loop.progress)
            if not math.isfinite(points[0].value):
                raise Diverged(f"the loss is {points[0].value} at step {loop.step}: lower the learning rate")
        if time.monotonic() - self._saved_at >= self.checkpoint_seconds and loop.progress < 1.0:
            self._save(loop.phase, loop.state_dict(), step=loop.step)

    def _validate(self, loop: Loop) -> dict[str, float]:
        """Validation losses of the whole network: in evaluation mode nothing is sampled, masked or dropped."""
        model = loop.learner.model
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # what is still running belongs to training, not to evaluation
        with self.clock.during(Segment.EVALUATING), self.ledger.spend(loop.phase, Purpose.EVAL, key="validation"):
            model.eval()
            predict = self.calling(model, loop.learner.precision)
            losses = self.task.validate(predict)
            model.train()
        return losses

    def _point(self, loop: Loop, name: str, value: float) -> Point:
        flops, tokens, seconds = self.ledger.training
        return Point(loop.phase, name, loop.step, value, flops, tokens, seconds)

    def _claim(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name):
            raise ValueError(f"phase name {name!r}: use lower-case letters, digits, dot, dash and underscore")
        if name in self._names:
            raise ValueError(f"phase {name!r} is used twice in one run")
        self._names.add(name)

    def _load(self, name: str) -> Any | None:
        with self.clock.during(Segment.CHECKPOINTING):
            saved = self.store.load(name)
        if saved is None:
            return None
        self.ledger.load_state_dict(saved["ledger"])
        return saved["state"]

    def _save(self, name: str, state: Any, *, step: int) -> None:
        with self.clock.during(Segment.CHECKPOINTING):
            self.store.save(name, {"state": state, "ledger": self.ledger.state_dict()}, step=step)
        self._saved_at = time.monotonic()
