"""Synergy-of-Experts and its rivals: one program, a step function per ensemble."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from training.lab import Lab
from training.loop import Batch, Hook, Loop
from training.methods.soe.card import SoeKnobs
from training.methods.soe.experts import Experts, alignment, answer, diverse, rectified, softened, synergy
from training.models.classifier import Classifier
from training.optim import Schedule
from training.outcome import Outcome
from training.parts.pgd import evaluating, pgd
from training.records import Purpose
from training.seeds import derive

Step = Callable[[Loop, Batch], Tensor]


class Attack:
    """Makes adversarial images of a batch within a step, and books them as attack."""

    def __init__(self, loop: Loop, knobs: SoeKnobs) -> None:
        self.loop, self.knobs = loop, knobs
        model = loop.learner.model
        assert isinstance(model, Experts)
        self.experts = model

    def against(self, objective: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        knobs = self.knobs
        with self.loop.lab.ledger.within(Purpose.ATTACK), evaluating(self.experts), self.loop.learner.precision():
            return pgd(
                objective, images,
                eps=knobs.eps, step=knobs.attack_step, steps=knobs.attack_steps, random_start=knobs.random_start,
            )  # fmt: skip

    def expert(self, i: int, batch: Batch) -> Tensor:
        return self.against(lambda x: _losses(self.experts.one(i, x), batch["labels"]), batch["images"])

    def answered(self, batch: Batch) -> Tensor:
        """Against what the ensemble answers."""
        return self.against(lambda x: _losses(self.experts(x), batch["labels"]), batch["images"])


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), labels, reduction="none")


def _updated(loop: Loop, loss: Tensor) -> Tensor:
    loop.backward(loss)
    loop.update()
    return loss.detach()


def soe_step(loop: Loop, batch: Batch, *, knobs: SoeKnobs, together: bool) -> Tensor:
    """The clean batch, and one attack per expert for everybody; or one attack on the answer."""
    attack = Attack(loop, knobs)
    experts = attack.experts
    sets = [attack.answered(batch)] if together else [attack.expert(i, batch) for i in range(knobs.experts)]
    with loop.learner.precision():
        clean = synergy(experts.say(batch["images"]), batch["labels"], knobs)
        attacked = synergy(experts.say(torch.cat(sets)), batch["labels"].repeat(len(sets)), knobs)
    return _updated(loop, clean + attacked)


def mean_step(loop: Loop, batch: Batch, *, knobs: SoeKnobs) -> Tensor:
    """Averaging: each expert on its own loss, on clean or on adversarial images; with ADP's term on the clean ones."""
    attack = Attack(loop, knobs)
    labels, terms = batch["labels"], []
    if knobs.ensemble != "adversarial":
        with loop.learner.precision():
            logits = attack.experts.say(batch["images"]).logits
            terms += [_apart(logits, labels) - (diverse(logits, labels, knobs) if knobs.ensemble == "adp" else 0.0)]
    if knobs.ensemble == "adversarial" or knobs.also_adversarial:
        attacked = attack.answered(batch)
        with loop.learner.precision():
            terms += [_apart(attack.experts.say(attacked).logits, labels)]
    return _updated(loop, torch.stack(terms).sum())


def _apart(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum over experts of their mean cross-entropies."""
    return torch.stack([_losses(of_one, labels).mean() for of_one in logits]).sum()


def gal_step(loop: Loop, batch: Batch, *, knobs: SoeKnobs) -> Tensor:
    """Each expert's loss, and how far their image gradients point the same way: a backward through a backward."""
    experts = Attack(loop, knobs).experts
    images = batch["images"].detach().requires_grad_()
    with loop.learner.precision():
        losses = [_losses(experts.one(i, images), batch["labels"]) for i in range(knobs.experts)]
    gradients = [torch.autograd.grad(loss.sum(), images, create_graph=True)[0] for loss in losses]
    loss = torch.stack([loss.mean() for loss in losses]).sum() + knobs.diversity * alignment(gradients)
    return _updated(loop, loss)


class Layer(Hook):
    """Which block's features DVERGE distils at a step: a draw by seed and step alone."""

    def __init__(self, blocks: int) -> None:
        self.blocks, self.layer = blocks, 1

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self.layer = 1 + derive(loop.lab.seed, "layer", loop.step) % self.blocks
        loop.note("layer", float(self.layer))
        return batch


def dverge_step(loop: Loop, batch: Batch, *, knobs: SoeKnobs, drawn: Layer) -> Tensor:
    """Each expert learns to keep the label of images that look like other ones to the features of every other expert.

    Yang et al., "DVERGE: Diversifying vulnerabilities for enhanced robust generation of ensembles", 2020, equation 3:
    from the labelled image, move within the ball until the features of a layer are those of another image.
    """
    attack = Attack(loop, knobs)
    networks = [network for network in attack.experts.networks if isinstance(network, Classifier)]
    distilled = [distilled_images(attack, network, drawn.layer, batch["images"]) for network in networks]
    with loop.learner.precision():
        terms = [
            _losses(network(distilled[j]), batch["labels"]).mean()
            for i, network in enumerate(networks)
            for j in range(len(networks))
            if i != j
        ]
    if knobs.also_adversarial:
        attacked = attack.answered(batch)
        with loop.learner.precision():
            terms.append(_apart(attack.experts.say(attacked).logits, batch["labels"]))
    return _updated(loop, torch.stack(terms).sum())


def distilled_images(attack: Attack, network: Classifier, layer: int, images: Tensor) -> Tensor:
    """Images, moved within the ball towards the features that their neighbours in the batch have after so many blocks.

    They keep their own labels: what they borrow is what this network alone is deceived by.
    """
    loop = attack.loop
    with loop.lab.ledger.within(Purpose.ATTACK), evaluating(attack.experts), loop.learner.precision(), torch.no_grad():
        goal = front(network, layer, images.roll(1, 0)).float()

    def nearness(x: Tensor) -> Tensor:
        return -((front(network, layer, x).float() - goal) ** 2).flatten(1).sum(1)

    return attack.against(nearness, images)


def front(network: Classifier, layer: int, images: Tensor) -> Tensor:
    """What leaves the first `layer` blocks."""
    x: Tensor = network.stem(images)
    for block in list(network.blocks)[:layer]:
        x = block(x)
    return x


def phases(knobs: SoeKnobs, drawn: Layer) -> list[tuple[str, float, Step]]:
    """Name, share of the budget and step function of each phase."""
    if knobs.ensemble == "soe":
        parts = (("sub-models", 1 - knobs.collaboration, False), ("collaboration", knobs.collaboration, True))
        return [(name, share, partial(soe_step, knobs=knobs, together=both)) for name, share, both in parts if share]
    rivals: dict[str, Step] = {
        "gal": partial(gal_step, knobs=knobs),
        "dverge": partial(dverge_step, knobs=knobs, drawn=drawn),
    }
    return [("train", 1.0, rivals.get(knobs.ensemble, partial(mean_step, knobs=knobs)))]


def run(lab: Lab, knobs: SoeKnobs) -> Outcome:
    names = ["build", *(f"expert-{i}" for i in range(1, knobs.experts))]
    model = Experts([lab.build(name=name) for name in names], knobs).to(lab.device)
    drawn, spent = Layer(len(lab.spec.shape.blocks)), 0.0
    for name, share, step in phases(knobs, drawn):
        learner = lab.learner(model, step=step, signature=lambda: drawn.layer)
        learner.schedule = _part(learner.schedule, spent, share)
        hooks = [drawn] if knobs.ensemble == "dverge" else []
        lab.fit(name, learner, until=lab.budget if share == 1 else lab.budget.share(share), hooks=hooks)
        spent += share
    return Outcome(model, attacks=attacks(model) if model.chooses else {})


def _part(schedule: Schedule, start: float, share: float) -> Schedule:
    """The stretch of a schedule over the whole run that one phase covers."""
    return lambda progress: schedule(start + share * progress)


def attacks(model: Experts) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Losses for an attacker who knows how the ensemble answers: every expert, a soft choice, and the choice itself."""

    def of_expert(i: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda images, labels: _losses(model.one(i, images), labels)

    def of_soft_choice(images: Tensor, labels: Tensor) -> Tensor:
        return _losses(softened(model.say(images)), labels)

    def of_choice(images: Tensor, labels: Tensor) -> Tensor:
        """The answer's loss, and the confidence of whoever gives it, so that the wrong answer stays chosen."""
        said = model.say(images)
        return _losses(answer(said), labels) + rectified(said).amax(0).clamp(1e-6, 1 - 1e-6).log()

    experts = {f"expert {i}": of_expert(i) for i in range(len(model.networks))}
    return {**experts, "soft choice": of_soft_choice, "choice": of_choice}
