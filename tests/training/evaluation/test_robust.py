from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from training.evaluation import robust
from training.outcome import Outcome
from training.parts.pgd import gradient

WEIGHT = torch.tensor([[1.0, -1.0, 1.0, -1.0]])


class Linear(nn.Module):
    """Class 1 where 8 * w . (x - 0.5) is above 0: an attack within eps moves that by exactly 32 * eps."""

    def __init__(self, sharpness: float = 8.0) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.norm = nn.BatchNorm1d(2, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        score = self.sharpness * (images.flatten(1) - 0.5) @ WEIGHT.T
        logits: Tensor = self.norm(torch.cat((-score, score), dim=1))
        return logits


def images_at(*distances: float) -> Tensor:
    """Images whose distance from the border, in the sup norm, is as given; negative is on the side of class 0."""
    return 0.5 + torch.tensor(distances)[:, None, None, None] * WEIGHT.view(1, 1, 2, 2)


def accuracies(outcome: Outcome, images: Tensor, labels: Tensor) -> dict[str, float]:
    predict = outcome.predict or outcome.model
    return {score.metric: score.value for score in robust.score(outcome, predict, images, labels)}


def test_an_image_stands_exactly_where_the_border_is_farther_than_the_radius() -> None:
    images = images_at(0.015, 0.025, 0.03, 0.035, 0.09, -0.11)
    found = accuracies(Outcome(Linear()), images, torch.tensor([1, 1, 1, 1, 1, 0]))
    assert found == {
        "acc_linf_0.02": pytest.approx(5 / 6), "acc_linf_8_255": pytest.approx(3 / 6),
        "acc_linf_0.1": pytest.approx(1 / 6),
    }  # fmt: skip


def test_a_clean_error_is_not_robust_though_an_attack_mends_it() -> None:
    model, images, labels = Linear(), images_at(0.01), torch.tensor([1])
    assert set(accuracies(Outcome(model, predict=lambda some: -model(some)), images, labels).values()) == {0}


class Band(nn.Module):
    """Class 0 where the distance is within 0.01 of 0.05, and class 1 on both sides of it."""

    def forward(self, images: Tensor) -> Tensor:
        score = ((images.flatten(1) - 0.5) @ WEIGHT.T / 4 - 0.05).abs() - 0.01
        return 100 * torch.cat((-score, score), dim=1)


def test_small_steps_find_what_one_large_step_jumps_over() -> None:
    found = accuracies(Outcome(Band()), images_at(0.0), torch.tensor([1]))
    assert found == {"acc_linf_0.02": 1, "acc_linf_8_255": 1, "acc_linf_0.1": 0}


def test_accuracy_falls_with_the_radius_and_comes_with_its_error() -> None:
    images = torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    model = Linear().eval()
    labels = model(images).argmax(1)
    scores = robust.score(Outcome(model), model, images, labels)
    values = [score.value for score in scores]
    assert 1 > values[0] >= values[1] >= values[2] > 0
    assert all(score.stderr == pytest.approx((score.value * (1 - score.value) / 50) ** 0.5) for score in scores)
    assert {score.n for score in scores} == {50}


class Masked(nn.Module):
    """A predictor whose own logits have no gradient: only a loss that the method offers finds the way."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Linear()

    def forward(self, images: Tensor) -> Tensor:
        hidden: Tensor = (self.inner(images) > 0).float() + 0 * self.inner(images)
        return hidden


def test_a_loss_that_the_method_offers_finds_what_masked_gradients_hide() -> None:
    model, images, labels = Masked(), images_at(0.09, 0.09), torch.tensor([1, 1])
    assert accuracies(Outcome(model), images, labels)["acc_linf_0.1"] == 1
    adaptive = Outcome(model, attacks={"inner": lambda some, truth: robust.margin(model.inner(some), truth)})
    assert accuracies(adaptive, images, labels)["acc_linf_0.1"] == 0


def test_saturated_logits_are_attacked_by_their_margin() -> None:
    model, images, labels = Linear(1e5), images_at(0.05, -0.05), torch.tensor([1, 0])
    loss = robust.white_box(model.eval())["cross-entropy"]
    assert gradient(lambda some: loss(some, labels), images).abs().max() == 0
    assert accuracies(Outcome(model), images, labels)["acc_linf_0.1"] == 0


def test_what_is_judged_is_the_predictor_and_what_is_attacked_the_model() -> None:
    model, images, labels = Linear(), images_at(0.05, 0.05), torch.tensor([1, 1])
    always = Outcome(model, predict=lambda some: torch.tensor([[0.0, 1.0]]).expand(len(some), 2))
    assert accuracies(always, images, labels)["acc_linf_0.1"] == 1


def test_the_model_and_the_generator_are_left_as_they_were() -> None:
    model = Linear().train()
    statistics, state = model.norm.running_mean.clone(), torch.get_rng_state()  # type: ignore[union-attr]
    first = accuracies(Outcome(model), images_at(0.05, 0.02), torch.tensor([1, 1]))
    assert model.training
    assert torch.equal(model.norm.running_mean, statistics)  # type: ignore[arg-type]
    assert torch.equal(torch.get_rng_state(), state)
    assert first == accuracies(Outcome(model), images_at(0.05, 0.02), torch.tensor([1, 1]))


def test_an_attack_works_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = Linear().eval()(images).argmax(1)
    whole = accuracies(Outcome(Linear()), images, labels)
    monkeypatch.setattr(robust, "BATCH", 7)
    assert accuracies(Outcome(Linear()), images, labels) == whole


def test_the_margin_is_the_best_wrong_logit_less_the_true_one() -> None:
    logits = torch.tensor([[1.0, 4.0, 2.0], [3.0, 0.0, -1.0]])
    assert robust.margin(logits, torch.tensor([1, 2])).tolist() == [-2.0, 4.0]
