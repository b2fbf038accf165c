"""Circular data sieving: a fixed share of the training set is left out, and who is left out goes round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.loop import Batch, Hook, Learner, Loop
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import Timetable
from training.orders import Order
from training.seeds import derive

NEVER_EASY = torch.iinfo(torch.int32).max


class Sieve:
    """An order over the part of the set that is in use; the rest waits in a queue (section 3.3).

    First in, first out until all that were left out at the start have been used; from then on the queue is shuffled
    after each exchange.
    """

    def __init__(self, order: Order, size: int, left_out: int, seed: int) -> None:
        drawn = torch.randperm(size, generator=torch.Generator().manual_seed(derive(seed, "sieve")))
        self.order, self.seed = order, seed
        self.queue, self.used = drawn[:left_out], drawn[left_out:].sort().values
        self.exchanges, self.waiting = 0, left_out
        order.restrict(self.used)

    def take(self, n: int) -> Tensor:
        return self.order.take(n)

    def restrict(self, pool: Tensor) -> None:
        """Use and keep waiting only what lies in `pool`."""
        self.used, self.queue = self.used[torch.isin(self.used, pool)], self.queue[torch.isin(self.queue, pool)]
        self.order.restrict(self.used)

    def exchange(self, easiest: Tensor) -> None:
        """`easiest`, of those in use, go to the tail of the queue; as many come back from its head."""
        back = self.queue[: len(easiest)]
        self.queue = torch.cat((self.queue[len(easiest) :], easiest))
        self.used = torch.cat((self.used[~torch.isin(self.used, easiest)], back)).sort().values
        self.exchanges, self.waiting = self.exchanges + 1, max(0, self.waiting - len(easiest))
        if not self.waiting:
            generator = torch.Generator().manual_seed(derive(self.seed, "queue", self.exchanges))
            self.queue = self.queue[torch.randperm(len(self.queue), generator=generator)]
        self.order.restrict(self.used)

    def state_dict(self) -> dict[str, Any]:
        counts = {"exchanges": self.exchanges, "waiting": self.waiting}
        return {"order": self.order.state_dict(), "queue": self.queue, "used": self.used, **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order.load_state_dict(state["order"])
        self.queue, self.used = state["queue"], state["used"]
        self.exchanges, self.waiting = state["exchanges"], state["waiting"]


class Forgetting:
    """Counts, for every example, how often a right prediction was followed by a wrong one (Toneva et al. 2019)."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.events = torch.zeros(size, dtype=torch.int32, device=device)
        self.right = torch.zeros(size, dtype=torch.bool, device=device)
        self.learnt = torch.zeros(size, dtype=torch.bool, device=device)

    def see(self, index: Tensor, right: Tensor) -> None:
        """Predictions of the examples `index` [B], right or wrong [B]."""
        self.events[index] += self.right[index] & ~right
        self.right[index] = right
        self.learnt[index] |= right

    def scores(self, unlearnt: str) -> Tensor:
        """Lowest is easiest, int32 [N]; what was never right is hardest where `unlearnt` says so."""
        hard = self.events.masked_fill(~self.learnt, NEVER_EASY)
        return (hard if unlearnt == "hard" else self.events).cpu()

    def unjudged(self, index: Tensor) -> float:
        """The share of these examples that was not predicted right since the last reset."""
        return float(1 - self.learnt[index.to(self.learnt.device)].float().mean()) if len(index) else 0.0

    def reset(self) -> None:
        for counter in (self.events, self.right, self.learnt):
            counter.zero_()


class Sieving(Hook):
    """Watches the predictions that training makes anyway and exchanges examples once per interval."""

    def __init__(
        self, learner: Learner, sieve: Sieve, counts: Forgetting, knobs: SpfdeKnobs, timetable: Timetable
    ) -> None:
        self.learner, self.sieve, self.counts, self.knobs, self.timetable = learner, sieve, counts, knobs, timetable
        self.logits: Tensor | None = None
        self.loss = learner.loss
        learner.order, learner.loss = sieve, self._watched
        self.listener = learner.model.register_forward_hook(self._listen)

    def after_step(self, loop: Loop) -> None:
        if self.timetable.begins(loop.step):
            easiest = self._easiest(loop.step)
            loop.note("left_unjudged", self.counts.unjudged(easiest))
            self.sieve.exchange(easiest)
            self.counts.reset()
        loop.note("left_out", len(self.sieve.queue))

    def on_end(self, loop: Loop) -> None:
        self.listener.remove()
        self.learner.loss = self.loss

    def state_dict(self) -> dict[str, Any]:
        return {"events": self.counts.events, "right": self.counts.right, "learnt": self.counts.learnt}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, counter in state.items():
            getattr(self.counts, name).copy_(counter)

    def _easiest(self, step: int) -> Tensor:
        """Of those in use the ones that were forgotten least, ties by lot; or, as a control, all by lot."""
        sieve, base = self.sieve, len(self.sieve.used)
        base += len(sieve.queue) if self.knobs.easiest_of == "set" else 0
        lot = torch.randperm(len(sieve.used), generator=torch.Generator().manual_seed(derive(sieve.seed, "ties", step)))
        drawn = sieve.used[lot]
        if self.knobs.leave_out == "easiest":
            drawn = drawn[self.counts.scores(self.knobs.unlearnt)[drawn].argsort(stable=True)]
        return drawn[: min(round(self.knobs.sieve * base), len(sieve.queue))]

    def _listen(self, model: nn.Module, _: object, logits: Tensor) -> None:
        if model.training:
            self.logits = logits.detach()

    def _watched(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss as it was, and what it predicted."""
        loss: Callable[[nn.Module, Batch], Tensor] = self.loss
        value, seen = loss(model, batch), self.logits
        if seen is not None:
            self.counts.see(batch["index"], seen.argmax(1) == batch["labels"])
        self.logits = None
        return value
