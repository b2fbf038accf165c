"""What synergy of experts promises: who answers, what carries gradients, and what each ensemble's step costs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.workbench import Trained, Workbench
from training.evaluation import robust
from training.lab import Lab
from training.methods.soe.card import SoeKnobs, step_flops
from training.methods.soe.experts import (
    Experts,
    Said,
    alignment,
    answer,
    diverse,
    importance,
    rectified,
    softened,
    synergy,
)
from training.methods.soe.method import attacks
from training.records import Purpose
from training.spec import RunSpec

LABELS = torch.tensor([0, 1, 2, 0])


def said(experts: int = 3, *, seed: int = 0, grads: bool = False) -> Said:
    torch.manual_seed(seed)
    return Said(torch.randn(experts, 4, 3, requires_grad=grads), torch.randn(experts, 4, requires_grad=grads))


def spec(bench: Workbench, knobs: SoeKnobs, **changes: Any) -> RunSpec:
    whole = {"budget": {"steps": 4}, "model": {"preset": "cnn-small"}}
    return bench.spec("soe", knobs, task="image_classification", **(whole | changes))


def trained(bench: Workbench, knobs: SoeKnobs, **changes: Any) -> Trained:
    return bench.train(spec(bench, knobs, **changes))


def ensemble(bench: Workbench, **knobs: Any) -> tuple[Lab, Experts]:
    lab = bench.lab(spec(bench, SoeKnobs(**knobs)))
    names = ["build", *(f"expert-{i}" for i in range(1, SoeKnobs(**knobs).experts))]
    return lab, Experts([lab.build(name=name) for name in names], SoeKnobs(**knobs))


def test_the_most_confident_expert_answers_alone() -> None:
    logits = torch.tensor([[[0.0, 2.0]], [[0.0, 2.0]], [[3.0, 0.0]]])
    outvoted = Said(logits, torch.tensor([[-5.0], [-5.0], [5.0]]))
    assert torch.equal(answer(outvoted), logits[2])
    assert rectified(outvoted)[2, 0] == pytest.approx(torch.sigmoid(torch.tensor(5.0)) / (1 + math.exp(-3.0)))


def test_the_network_answers_with_the_logits_of_whom_it_chooses(bench: Workbench) -> None:
    lab, experts = ensemble(bench)
    images = lab.task.batch(torch.arange(8))["images"]
    each = experts.say(images)
    chosen = rectified(each).argmax(0)
    assert len(set(chosen.tolist())) > 1
    assert torch.equal(experts(images), torch.stack([each.logits[e, b] for b, e in enumerate(chosen.tolist())]))


def test_an_averaged_ensemble_answers_with_the_mean_probability(bench: Workbench) -> None:
    lab, experts = ensemble(bench, ensemble="plain")
    images = lab.task.batch(torch.arange(8))["images"]
    mean = torch.stack([network(images).softmax(-1) for network in experts.networks]).mean(0)
    assert torch.allclose(experts(images).softmax(-1), mean, atol=1e-6)


@pytest.mark.parametrize("weights", ["predicted", "true"])
def test_weights_are_a_softmax_without_gradient(weights: Any) -> None:
    found = said(grads=True)
    losses = torch.rand(3, 4)
    soft = importance(found, losses, SoeKnobs(weights=weights))
    assert torch.allclose(soft.sum(0), torch.ones(4))
    assert not soft.requires_grad
    hard = importance(found, losses, SoeKnobs(weights=weights, temperature=100.0))
    best = rectified(found).argmax(0) if weights == "predicted" else losses.argmin(0)
    assert torch.equal(hard.argmax(0), best)


def test_where_an_expert_is_right_its_favourite_class_learns_nothing_from_the_confidence_loss() -> None:
    """The confidence head takes up the correction; where it is wrong, both do."""
    logits = torch.tensor([[[4.0, 0.0, 0.0], [4.0, 0.0, 0.0]]], requires_grad=True)
    confidence = torch.zeros(1, 2, requires_grad=True)
    labels = torch.tensor([0, 1])
    apart = SoeKnobs(experts=1, weights="sum", confidence_loss=1.0)
    without = SoeKnobs(experts=1, weights="sum", confidence_loss=0.0)
    with_head, plain = (
        torch.autograd.grad(synergy(Said(logits, confidence), labels, knobs), logits)[0][0]
        for knobs in (apart, without)
    )
    assert torch.allclose(with_head[0], plain[0], atol=1e-7)
    assert not torch.allclose(with_head[1], plain[1], atol=1e-4)
    (heads,) = torch.autograd.grad(synergy(Said(logits, confidence), labels, apart), confidence)
    assert heads.abs().min() > 0


def test_the_confidence_target_is_the_probability_of_the_truth() -> None:
    """The loss is least where the favourite's probability times the sigmoid is the truth's probability."""
    logits = torch.tensor([[[0.6, 0.3, 0.1]]]).log()
    knobs, label = SoeKnobs(experts=1, weights="sum"), torch.tensor([1])
    shares = torch.linspace(0.05, 0.95, 19)
    losses = [synergy(Said(logits, share.logit().view(1, 1)), label, knobs).item() for share in shares]
    assert shares[losses.index(min(losses))] == pytest.approx(0.3 / 0.6)


def test_the_confidence_loss_counts_by_its_factor() -> None:
    found = said()
    none, one, three = (synergy(found, LABELS, SoeKnobs(confidence_loss=factor)) for factor in (0.0, 1.0, 3.0))
    assert one > none
    assert three - none == pytest.approx(3 * (one - none).item(), rel=1e-4)


def test_a_sharp_soft_choice_is_the_answer() -> None:
    found = said()
    assert torch.allclose(softened(found, 1e5), answer(found), atol=1e-4)


def test_one_expert_is_adversarial_training_with_a_confidence_head() -> None:
    alone = said(1)
    expected = F.cross_entropy(alone.logits[0], LABELS)
    assert synergy(alone, LABELS, SoeKnobs(experts=1, confidence_loss=0.0)) == pytest.approx(expected.item())


def test_diversity_is_largest_where_wrong_classes_differ() -> None:
    same = torch.tensor([[[5.0, 1.0, 0.0]], [[5.0, 1.0, 0.0]]])
    apart = torch.tensor([[[5.0, 1.0, -9.0]], [[5.0, -9.0, 1.0]]])
    knobs, labels = SoeKnobs(entropy=0.0, diversity=1.0), torch.tensor([0])
    assert diverse(apart, labels, knobs) == pytest.approx(0.0, abs=1e-3)
    assert diverse(same, labels, knobs) < -10


def test_entropy_of_the_mean_is_largest_where_every_class_is_as_likely() -> None:
    knobs, labels = SoeKnobs(entropy=2.0, diversity=0.0), torch.tensor([0])
    assert diverse(torch.zeros(2, 1, 3), labels, knobs) == pytest.approx(2 * math.log(3))
    assert diverse(torch.tensor([[[50.0, 0.0, 0.0]]] * 2), labels, knobs) == pytest.approx(0.0, abs=1e-6)


def test_alignment_rises_with_the_cosine() -> None:
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    values = [alignment([one, second]).item() for second in (-one, other, one)]
    assert values == pytest.approx([-1.0, 0.0, 1.0], abs=1e-6)


@pytest.mark.parametrize(
    "knobs",
    [
        {"ensemble": "plain"},
        {"ensemble": "adversarial"},
        {"ensemble": "adp"},
        {"ensemble": "adp", "also_adversarial": True},
        {"ensemble": "gal"},
        {"ensemble": "dverge"},
        {"ensemble": "soe", "collaboration": 0.0},
        {"ensemble": "soe", "collaboration": 1.0, "head": "complex"},
        {"ensemble": "soe", "experts": 2, "attack_steps": 2},
    ],
)
def test_a_step_costs_its_row_of_the_pass_table(knobs: dict[str, Any], bench: Workbench) -> None:
    steps = {"budget": {"steps": 24 if knobs["ensemble"] == "dverge" else 4}}
    done = trained(bench, SoeKnobs(**knobs), **steps)
    close = 0.05 if knobs["ensemble"] == "dverge" else 2e-3  # DVERGE draws the layer that it distils
    assert done.training() == pytest.approx(done.lab.spec.train_flops(), rel=close)


def test_the_pass_table_at_three_experts_and_ten_steps() -> None:
    """In units of a forward and backward: an attack step that asks for the image alone takes two thirds of one."""
    shape = RunSpec.model_validate({"task": "image_classification", "model": {"preset": "resnet20"}}).shape
    unit = shape.train_flops()

    def row(**knobs: Any) -> float:
        return float(step_flops(SoeKnobs(attack_steps=10, **knobs), shape) / unit)

    assert row(ensemble="plain") == 3
    assert row(ensemble="adversarial") == pytest.approx(3 + 30 * 2 / 3, rel=0.01)
    assert row(ensemble="soe") == pytest.approx(3 + 9 + 30 * 2 / 3, rel=0.01)
    assert row(ensemble="adp", also_adversarial=True) == pytest.approx(6 + 30 * 2 / 3, rel=0.01)


@pytest.mark.parametrize("name", ["plain", "adp", "gal"])
def test_only_ensembles_that_attack_are_billed_for_attacks(name: Any, bench: Workbench) -> None:
    assert trained(bench, SoeKnobs(ensemble=name)).executed(Purpose.ATTACK) == 0


def test_an_attacker_may_use_every_expert_and_the_choice_itself(bench: Workbench) -> None:
    lab, experts = ensemble(bench)
    batch = lab.task.batch(torch.arange(4))
    images = batch["images"].requires_grad_()
    found = attacks(experts)
    assert set(found) == {"expert 0", "expert 1", "expert 2", "soft choice", "choice"}
    for name, loss in found.items():
        (gradient,) = torch.autograd.grad(loss(images, batch["labels"]).sum(), images)
        assert gradient.abs().sum() > 0, name


def test_the_adaptive_attack_gains_by_the_confidence_of_a_wrong_answer(bench: Workbench) -> None:
    lab, experts = ensemble(bench)
    batch = lab.task.batch(torch.arange(4))
    gains = []
    for own in (3.0, 4.0):
        for head, bias in zip(experts.heads, (own, -9.0, -9.0), strict=True):
            assert isinstance(head, nn.Linear)
            nn.init.zeros_(head.weight)
            nn.init.constant_(head.bias, bias)
        gains.append(attacks(experts)["choice"](batch["images"], batch["labels"]))
    assert (gains[1] > gains[0]).all(), "expert 0 answers the same both times, and is surer the second time"


def test_more_attacks_never_leave_more_images_standing(bench: Workbench) -> None:
    done = trained(bench, SoeKnobs(collaboration=0.0), budget={"steps": 60}, batch_size=32)
    task: Any = done.lab.task
    images, labels = task.held_out("test", 60)
    predict = done.lab.predictor(done.outcome)
    knowing = robust.survivors(done.outcome, predict, images.float() / 255, labels)
    done.outcome.attacks.clear()
    naive = robust.survivors(done.outcome, predict, images.float() / 255, labels)
    assert knowing.sum() <= naive.sum()


class Linear(nn.Module):
    """A linear expert and its confidence, on two inputs."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.classes = nn.ModuleList(nn.Linear(2, 2) for _ in range(experts))
        self.heads = nn.ModuleList(nn.Linear(2, 1) for _ in range(experts))

    def say(self, x: Tensor) -> Said:
        return Said(torch.stack([net(x) for net in self.classes]), torch.stack([net(x)[:, 0] for net in self.heads]))


def test_two_linear_experts_that_choose_solve_xor_and_their_mean_does_not() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]).repeat(8, 1)
    y = (x[:, 0] != x[:, 1]).long()
    knobs = SoeKnobs(experts=2, weights="true", temperature=4.0)
    best = {"chosen": 0.0, "mean": 0.0}
    for seed in range(4):
        torch.manual_seed(seed)
        model = Linear(2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(400):
            optimizer.zero_grad()
            synergy(model.say(x), y, knobs).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            found = model.say(x)
            rates = {"chosen": answer(found), "mean": found.logits.mean(0)}
        for name, logits in rates.items():
            best[name] = max(best[name], (logits.argmax(1) == y).double().mean().item())
    assert best["mean"] <= 0.75
    assert best["chosen"] >= 0.95


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"compile": True}, "torch.compile"),
        ({"micro_batches": 2}, "one micro-batch"),
        ({"knobs": {"soe": {"ensemble": "adp", "experts": 1}}}, "two or more"),
        ({"knobs": {"soe": {"ensemble": "gal"}}, "model": {"preset": "vit-nano"}}, "differentiates twice"),
    ],
)
def test_what_does_not_suit_is_refused(body: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RunSpec.model_validate({"task": "image_classification", "methods": ["soe"], **body})
