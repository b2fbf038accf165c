from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.models.build import build
from training.models.images import IMAGE_PRESETS, ImageShape
from training.parts.pgd import evaluating, fgsm, pgd

EPS = 0.1
SHAPE = ImageShape("cnn", (4, 8), (1, 1), side=8, channels=1, classes=3)


@pytest.fixture
def images() -> Tensor:
    """Pixels over the whole range, both ends included."""
    drawn = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return (drawn * 1.4 - 0.2).clamp(0, 1)


LABELS = torch.arange(12) % 3


def cross_entropy(model: nn.Module, labels: Tensor = LABELS) -> Callable[[Tensor], Tensor]:
    return lambda images: F.cross_entropy(model(images), labels, reduction="none")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(2)
    return build(SHAPE)


@pytest.mark.parametrize("random_start", [False, True])
def test_an_attack_stays_in_the_ball_and_in_the_range_of_pixels(
    model: nn.Module, images: Tensor, random_start: bool
) -> None:
    found = pgd(cross_entropy(model), images, eps=EPS, step=0.04, steps=7, random_start=random_start)
    assert (found - images).abs().max() <= EPS + 1e-6
    assert (found - images).abs().max() > 0.9 * EPS
    assert found.min() == 0
    assert found.max() == 1
    assert not found.requires_grad


def test_more_steps_raise_the_loss(model: nn.Module, images: Tensor) -> None:
    objective = cross_entropy(model)
    losses = [
        objective(pgd(objective, images, eps=EPS, step=0.02, steps=steps)).mean().item() for steps in (0, 1, 3, 10)
    ]
    assert losses == sorted(losses)
    assert losses[-1] > losses[0]


def test_no_steps_are_the_images_themselves(model: nn.Module, images: Tensor) -> None:
    assert torch.equal(pgd(cross_entropy(model), images, eps=EPS, step=0.1, steps=0), images)


def test_one_step_on_a_linear_model_is_the_closed_form() -> None:
    weight = torch.randn(9, generator=torch.Generator().manual_seed(3))
    images = torch.full((4, 1, 3, 3), 0.5)
    found = fgsm(lambda some: some.flatten(1) @ weight, images, eps=EPS)
    assert torch.equal(found, images + EPS * weight.sign().view(1, 1, 3, 3))


def test_an_attack_asks_for_no_gradient_of_a_weight(model: nn.Module, images: Tensor) -> None:
    seen: list[str] = []
    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda gradient, name=name: seen.append(name))  # type: ignore[no-untyped-call]
    pgd(cross_entropy(model), images, eps=EPS, step=0.05, steps=2)
    assert seen == []
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_attack_works_where_gradients_are_off(model: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        found = fgsm(cross_entropy(model), images, eps=EPS)
    assert torch.equal(found, fgsm(cross_entropy(model), images, eps=EPS))
    assert not torch.equal(found, images)


def test_a_random_start_is_drawn_from_the_global_generator(model: nn.Module, images: Tensor) -> None:
    attack = partial(pgd, cross_entropy(model), images, eps=EPS, step=0.01, steps=1, random_start=True)
    torch.manual_seed(4)
    first, second = attack(), attack()
    torch.manual_seed(4)
    assert torch.equal(first, attack())
    assert not torch.equal(first, second)


def test_every_module_gets_its_own_mode_back() -> None:
    model = build(IMAGE_PRESETS["resnet8"]).train()
    model.blocks[0].eval()
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        fgsm(lambda some: model(some).sum(1), torch.rand(2, 3, 32, 32), eps=EPS)
    assert model.training
    assert model.blocks[1].training
    assert not any(module.training for module in model.blocks[0].modules())
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())
