"""How synergy of experts and its rivals train: whom an attack is aimed at, what a step sums, which phase comes when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.training.workbench import Trained, Workbench
from training import optim
from training.flops import counted
from training.loop import Batch, Loop
from training.methods.soe.card import SoeKnobs, aligned_flops, stages
from training.methods.soe.experts import Experts, alignment, diverse, synergy
from training.methods.soe.method import (
    Attack,
    Layer,
    distilled_images,
    dverge_step,
    front,
    gal_step,
    mean_step,
    soe_step,
)
from training.models.classifier import Classifier
from training.parts.pgd import pgd
from training.spec import RunSpec

EVERY = ("soe", "plain", "adversarial", "adp", "gal", "dverge")


def spec(bench: Workbench, knobs: SoeKnobs, **changes: Any) -> RunSpec:
    whole = {"budget": {"steps": 4}, "model": {"preset": "cnn-small"}}
    return bench.spec("soe", knobs, task="image_classification", **(whole | changes))


def trained(bench: Workbench, knobs: SoeKnobs, **changes: Any) -> Trained:
    return bench.train(spec(bench, knobs, **changes))


def begun(
    bench: Workbench, knobs: SoeKnobs, *, rate: float = 0.0, side: int = 8, **changes: Any
) -> tuple[Attack, Batch]:
    """A phase before its first step, of experts in training mode, and a batch; the optimiser is plain descent."""
    lab = bench.lab(spec(bench, knobs, **changes))
    shape = replace(lab.spec.shape, side=side)
    model = Experts([lab.build(shape, name=f"expert-{i}") for i in range(knobs.experts)], knobs).train()
    learner = lab.learner(model, optimizer=torch.optim.SGD(model.parameters(), lr=rate), schedule=lambda progress: 1.0)
    loop = Loop(lab, "train", learner, lab.budget, [])
    return Attack(loop, knobs), lab.task.batch(torch.arange(8))


def stepped(step: Callable[..., Tensor], attack: Attack, batch: Batch, **extra: Any) -> float:
    return step(attack.loop, batch, knobs=attack.knobs, **extra).item()


def network(attack: Attack, i: int) -> Classifier:
    found = attack.experts.networks[i]
    assert isinstance(found, Classifier)
    return found


def summed(attack: Attack, images: Tensor, labels: Tensor) -> float:
    """The sum of the experts' mean cross-entropies."""
    return sum(F.cross_entropy(expert(images), labels).item() for expert in attack.experts.networks)


def crafted(attack: Attack, predict: Callable[[Tensor], Tensor], batch: Batch) -> Tensor:
    knobs = attack.knobs
    return pgd(
        lambda images: F.cross_entropy(predict(images), batch["labels"], reduction="none"),
        batch["images"], eps=knobs.eps, step=knobs.attack_step, steps=knobs.attack_steps,
    )  # fmt: skip


def test_an_attack_sees_the_ensemble_in_evaluation_mode_and_leaves_it_training(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs())
    seen: list[bool] = []

    def objective(images: Tensor) -> Tensor:
        seen.extend(module.training for module in attack.experts.modules())
        return images.flatten(1).sum(1)

    attack.against(objective, batch["images"])
    assert not any(seen)
    assert all(module.training for module in attack.experts.modules())


def test_an_attack_leaves_no_gradients(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs())
    attack.expert(1, batch)
    attack.answered(batch)
    assert all(parameter.grad is None for parameter in attack.experts.parameters())


def test_distilling_leaves_the_statistics_of_batch_norms(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="dverge"), model={"preset": "resnet8"})
    before = [buffer.clone() for buffer in attack.experts.buffers()]
    distilled_images(attack, network(attack, 0), 2, batch["images"])
    assert all(torch.equal(old, new) for old, new in zip(before, attack.experts.buffers(), strict=True))


@pytest.mark.parametrize("i", [0, 1, 2])
def test_an_attack_on_an_expert_is_aimed_at_that_expert_and_the_images_labels(i: int, bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs())
    assert torch.equal(attack.expert(i, batch), crafted(attack, attack.experts.networks[i], batch))


@pytest.mark.parametrize("name", ["soe", "adversarial"])
def test_an_attack_on_the_answer_is_aimed_at_the_answer_and_the_images_labels(name: Any, bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble=name))
    assert torch.equal(attack.answered(batch), crafted(attack, attack.experts, batch))


def test_sub_models_learn_the_clean_images_and_every_experts_adversarial_ones(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs())
    experts, images, labels = attack.experts, batch["images"], batch["labels"]
    attacked = torch.cat([crafted(attack, one, batch) for one in experts.networks])
    clean = synergy(experts.say(images), labels, attack.knobs)
    expected = clean + synergy(experts.say(attacked), torch.cat([labels] * 3), attack.knobs)
    assert stepped(soe_step, attack, batch, together=False) == pytest.approx(expected.item(), rel=1e-5)


def test_collaboration_learns_the_clean_images_and_those_that_deceive_the_answer(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs())
    experts, labels = attack.experts, batch["labels"]
    sets = (batch["images"], crafted(attack, experts, batch))
    expected = sum(synergy(experts.say(images), labels, attack.knobs).item() for images in sets)
    assert stepped(soe_step, attack, batch, together=True) == pytest.approx(expected, rel=1e-5)


def test_an_averaged_ensemble_learns_clean_images_or_adversarial_ones(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="plain"))
    assert stepped(mean_step, attack, batch) == pytest.approx(
        summed(attack, batch["images"], batch["labels"]), rel=1e-5
    )
    attack, batch = begun(bench, SoeKnobs(ensemble="adversarial"))
    hard = crafted(attack, attack.experts, batch)
    assert stepped(mean_step, attack, batch) == pytest.approx(summed(attack, hard, batch["labels"]), rel=1e-5)


@pytest.mark.parametrize("factor", ["diversity", "entropy"])
def test_adp_makes_its_experts_more_diverse(factor: str, bench: Workbench) -> None:
    knobs = SoeKnobs.model_validate({"ensemble": "adp", "diversity": 0, "entropy": 0, factor: 100})
    attack, batch = begun(bench, knobs, rate=1e-3)

    def found() -> float:
        return diverse(attack.experts.say(batch["images"]).logits, batch["labels"], knobs).item()

    before = found()
    stepped(mean_step, attack, batch)
    assert found() > before


def test_gal_turns_the_gradients_of_its_experts_apart(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="gal", diversity=100), rate=1e-2)
    images, labels = batch["images"].requires_grad_(), batch["labels"]

    def found() -> float:
        losses = [F.cross_entropy(one(images), labels, reduction="sum") for one in attack.experts.networks]
        return alignment([torch.autograd.grad(loss, images)[0] for loss in losses]).item()

    before = found()
    stepped(gal_step, attack, batch)
    assert found() < before


def test_distilled_images_come_nearer_to_their_neighbours_features(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="dverge"))
    one, images = network(attack, 0), batch["images"]
    goal = front(one, 1, images.roll(1, 0))
    before, after = (
        (front(one, 1, x) - goal).square().flatten(1).sum(1) for x in (images, distilled_images(attack, one, 1, images))
    )
    assert (after < before).all()


def test_distilled_images_stay_in_the_ball_around_the_labelled_ones(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="dverge", eps=0.05))
    moved = distilled_images(attack, network(attack, 0), 1, batch["images"]) - batch["images"]
    assert 0.04 < moved.abs().max() <= 0.05 + 1e-6


@pytest.mark.parametrize("also", [False, True])
def test_dverge_learns_what_others_distilled_with_the_labels_of_the_balls_centres(also: bool, bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="dverge", also_adversarial=also))
    labels, drawn = batch["labels"], Layer(2)
    expected = summed(attack, crafted(attack, attack.experts, batch), labels) if also else 0.0
    for j in range(3):
        images = distilled_images(attack, network(attack, j), drawn.layer, batch["images"])
        expected += sum(F.cross_entropy(network(attack, i)(images), labels).item() for i in range(3) if i != j)
    assert stepped(dverge_step, attack, batch, drawn=drawn) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("head", ["simple", "complex"])
@pytest.mark.parametrize("i", [0, 1, 2])
def test_an_experts_confidence_is_its_own(i: int, head: Any, bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(head=head))
    attack.experts.say(batch["images"]).confidence[i].sum().backward()  # type: ignore[no-untyped-call]
    for modules in (attack.experts.heads, attack.experts.trunks):
        grads = [[p.grad for p in module.parameters() if p.grad is not None] for module in modules]
        assert [any(bool(grad.any()) for grad in own) for own in grads] == [j == i for j in range(len(modules))]


def test_sub_models_train_before_they_collaborate(bench: Workbench) -> None:
    knobs = SoeKnobs(collaboration=0.25)
    done = trained(bench, knobs, budget={"steps": 8})
    lines = [(phase, line.examples) for (phase, kind), line in done.lab.ledger.lines.items() if kind == "train"]
    assert lines == [("sub-models", 6 * 4), ("collaboration", 2 * 4)]
    assert [stage.name for stage in stages(knobs, done.lab.spec.shape, 1)] == ["sub-models", "collaboration"]


def test_the_phases_share_one_schedule(bench: Workbench) -> None:
    """The rate of a phase's last step, which began at 5/6 of the first three quarters and at 1/2 of the last one."""
    done = trained(bench, SoeKnobs(collaboration=0.25), budget={"steps": 8})
    rate = optim.schedule(done.lab.spec.optim)
    for phase, progress in (("sub-models", 0.625), ("collaboration", 0.875)):
        (group, *_) = done.memory.states[phase]["state"]["optimizer"]["param_groups"]
        assert group["lr"] == pytest.approx(group["initial_lr"] * rate(progress))


@pytest.mark.parametrize("name", EVERY)
def test_every_ensemble_trains_in_bf16(name: Any, bench: Workbench) -> None:
    done = trained(bench, SoeKnobs(ensemble=name, also_adversarial=True), precision="bf16", budget={"steps": 6})
    losses = torch.tensor([value for _, value in done.series("train/loss")])
    assert len(losses) == 6
    assert losses.isfinite().all()


def test_what_experts_say_in_bf16_is_judged_in_fp32(bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(), precision="bf16")
    with attack.loop.learner.precision():
        found = attack.experts.say(batch["images"])
    assert found.logits.dtype == found.confidence.dtype == torch.float32


def test_the_volume_that_nearly_equal_experts_span_is_the_same_in_bf16() -> None:
    logits = torch.tensor([[[5.0, 1.0, 0.0, 2.0]], [[5.0, 1.01, 0.0, 2.0]], [[5.0, 1.0, 0.01, 2.0]]])
    label, knobs = torch.tensor([0]), SoeKnobs(ensemble="adp")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = diverse(logits, label, knobs)
    assert low.item() == diverse(logits, label, knobs).item()


@pytest.mark.parametrize(("preset", "side"), [("cnn-small", 9), ("cnn-small", 10), ("resnet8", 9), ("resnet8", 10)])
def test_a_step_of_gal_costs_its_forecast_where_sides_are_odd(preset: str, side: int, bench: Workbench) -> None:
    attack, batch = begun(bench, SoeKnobs(ensemble="gal"), side=side, model={"preset": preset})
    shape = network(attack, 0).shape
    batch["images"] = F.pad(batch["images"], (0, side - 8, 0, side - 8))
    with counted() as counter:
        stepped(gal_step, attack, batch)
    assert counter.get_total_flops() / 8 == pytest.approx(3 * aligned_flops(shape), rel=0.01)
