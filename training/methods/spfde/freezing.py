"""Progressive layer freezing: blocks stop learning front to back, and their backward is not run at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from training.loop import Batch, Hook, Learner, Loop
from training.methods.spfde.plan import Timetable
from training.models.classifier import Classifier
from training.models.decoder import Decoder

BatchNorm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Front:
    """What stands still together: a block, and with the first block all that comes before it."""

    parameters: list[nn.Parameter]
    norms: list[BatchNorm]


def fronts(model: nn.Module) -> list[Front]:
    """The blocks front to back; a tied embedding is in none of them, as the head it learns to the end."""
    if isinstance(model, Classifier):
        blocks, before = model.blocks, [model.stem]
        parameters = list(model.stem.parameters())
    elif isinstance(model, Decoder):
        blocks, before = model.layers, []
        after = chain(model.layers.parameters(), model.norm.parameters(), (model.head or model.embedding).parameters())
        later = {id(parameter) for parameter in after}
        parameters = [parameter for parameter in model.parameters() if id(parameter) not in later]
    else:
        raise TypeError(f"freezing needs blocks one after another; {type(model).__name__} shows none")
    found = [Front(list(block.parameters()), _norms([block])) for block in blocks]
    return [Front(parameters + found[0].parameters, _norms(before) + found[0].norms), *found[1:]]


class Freeze(Hook):
    """Freezes by the timetable. Frozen parameters ask for no gradient, so autograd builds no graph for them.

    Which blocks are frozen follows from the step alone, so there is nothing to resume. With `own_rate` every block
    runs through the whole schedule while it learns; groups that another method appends to the optimiser are left
    alone. With `still_norms` a frozen batch norm keeps its statistics.
    """

    def __init__(self, learner: Learner, timetable: Timetable, *, own_rate: bool, still_norms: bool) -> None:
        self.learner, self.timetable, self.still_norms, self.frozen = learner, timetable, still_norms, 0
        model = learner.model
        self.fronts = fronts(model)[: len(timetable.freezes)]
        self.lives = _regroup(learner.optimizer, self.fronts, timetable) if own_rate else []
        self.rates = [group["initial_lr"] for group in learner.optimizer.param_groups]
        tied = [model.embedding] if isinstance(model, Decoder) and model.head is None else []
        self.listeners = [embedding.register_forward_hook(self._look_up) for embedding in tied]

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        if (frozen := self.timetable.frozen(loop.step)) != self.frozen:
            self.frozen = frozen
            for parameter in self._still():
                parameter.requires_grad_(False)
                self.learner.optimizer.state.pop(parameter, None)
        if self.still_norms:
            for norm in chain.from_iterable(front.norms for front in self.fronts[:frozen]):
                norm.eval()
        loop.note("frozen_blocks", frozen)
        return batch

    def before_update(self, loop: Loop) -> None:
        """Let the rate of each block follow the schedule over the steps that the block learns."""
        schedule = self.learner.schedule
        rate = schedule(loop.progress)
        for group, peak, life in zip(self.learner.optimizer.param_groups, self.rates, self.lives, strict=False):
            own = schedule(min(1.0, loop.step / life)) if life else rate
            group["initial_lr"] = peak * own / rate if rate else peak

    def on_end(self, loop: Loop) -> None:
        for parameter in self._still():
            parameter.requires_grad_(True)
        for group, peak in zip(self.learner.optimizer.param_groups, self.rates, strict=False):
            group["initial_lr"] = peak
        for listener in self.listeners:
            listener.remove()

    def _still(self) -> list[nn.Parameter]:
        return [parameter for front in self.fronts[: self.frozen] for parameter in front.parameters]

    def _look_up(self, embedding: nn.Module, _: object, found: Tensor) -> Tensor:
        """What a tied embedding gives to frozen blocks asks for no gradient; as the head it still does."""
        return found.detach() if self.frozen else found


def _regroup(optimizer: torch.optim.Optimizer, found: list[Front], timetable: Timetable) -> list[int]:
    """Split the optimiser's groups by front; for each group the steps it learns, 0 where it learns to the end."""
    freezes = {
        id(p): timetable.step(at) for front, at in zip(found, timetable.freezes, strict=True) for p in front.parameters
    }
    groups, lives = [], []
    for group in optimizer.param_groups:
        parts: dict[int, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(freezes.get(id(parameter), 0), []).append(parameter)
        for life, parameters in sorted(parts.items()):
            groups.append({**group, "params": parameters})
            lives.append(life)
    optimizer.param_groups = groups
    return lives


def _norms(modules: Iterable[nn.Module]) -> list[BatchNorm]:
    return [norm for module in modules for norm in module.modules() if isinstance(norm, BatchNorm)]
