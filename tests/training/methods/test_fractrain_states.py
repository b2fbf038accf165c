"""What FracTrain's network is outside of training, and what its steps hand on to later ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.training.methods.test_fractrain import indicator, trained, turns
from tests.training.workbench import Trained, Workbench
from training.methods.fractrain.card import FracTrainKnobs
from training.methods.fractrain.method import Fractional
from training.methods.fractrain.simulation import Simulation
from training.parts.bits import Bits
from training.parts.pgd import evaluating


def hook(done: Trained) -> Fractional:
    (fractional,) = (one for one in done.lab.hooks if isinstance(one, Fractional))
    return fractional


def attacked(done: Trained) -> Tensor:
    """The gradient of the rounded network that an attacker follows."""
    batch = done.lab.task.batch(torch.arange(6))
    images = batch["images"].clone().requires_grad_()
    with evaluating(done.outcome.model):
        loss = done.outcome.attacks["rounded"](images, batch["labels"]).sum()
    (gradient,) = torch.autograd.grad(loss, images)
    return gradient


def test_an_attacker_may_follow_the_rounded_network(bench: Workbench) -> None:
    assert "rounded" in trained(bench, FracTrainKnobs(), steps=3).outcome.attacks


@pytest.mark.parametrize("mode", ["pfq", "dfq"])
def test_an_attacker_finds_the_same_gradient_twice(mode: Any, bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(mode=mode), steps=3)
    assert torch.equal(attacked(done), attacked(done))


def test_the_gradient_of_an_attacker_passes_rounding_unchanged(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(bits="3", error_bits="6"), steps=3)
    found, simulated = attacked(done), hook(done).simulation
    simulated.bits = Bits(3, 3, 0)
    assert torch.equal(found, attacked(done))
    simulated.bits = Bits(0, 0, 0)
    assert not torch.allclose(found, attacked(done), rtol=0.01)


def test_training_rounds_the_error_that_comes_back() -> None:
    layer = nn.Linear(4, 4)
    images = torch.rand(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with Simulation(layer, exempt=[], momentum=0.9, clip=False, stochastic=True) as simulated:
        simulated.bits = Bits(0, 0, 2)
        first, second = (torch.autograd.grad(layer(images).square().sum(), images)[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_range_is_a_running_mean_over_batches() -> None:
    layer = nn.Linear(2, 2)
    with Simulation(layer, exempt=[], momentum=0.9, clip=False, stochastic=True) as simulated:
        simulated.bits = Bits(3, 3, 6)
        for low, high in ((0.0, 1.0), (-2.0, 9.0)):
            layer(torch.tensor([[low, high]]))
    low, span = simulated.ranges["weight"].tolist()
    assert (low, span) == pytest.approx((0.9 * 0.0 + 0.1 * -2.0, 0.9 * 1.0 + 0.1 * 11.0))


def test_the_indicator_sees_the_mean_loss_of_every_epoch(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(epoch=0.1, window=4, eps=1e-9))
    losses = [loss for _, loss in done.series("train/loss")]
    assert len(losses) == 30
    means = [sum(losses[start : start + 3]) / 3 for start in range(0, 30, 3)]
    assert hook(done).indicator.losses == pytest.approx(means[-4:], rel=1e-5)


def test_a_loss_below_zero_that_moves_does_not_turn() -> None:
    assert turns(indicator(), [-2.0, -3.0, -4.0, -5.0, -6.0, -7.0]) == []


def test_a_loss_below_zero_that_stands_still_turns_once_per_window() -> None:
    assert turns(indicator(), [-2.0] * 12) == [5, 10]


def test_a_scale_of_zero_turns_only_where_nothing_moves() -> None:
    assert turns(indicator(), [0.0] * 5) == [5]
    assert turns(indicator(window=2), [1.0, -1.0]) == []
