from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training.flops import counted
from training.models.build import build
from training.models.classifier import Classifier
from training.models.images import IMAGE_PRESETS, ImageShape

SMALL = {
    "cnn": replace(IMAGE_PRESETS["cnn-small"], side=12, channels=1),
    "resnet": replace(IMAGE_PRESETS["resnet8"], side=9, classes=4),
    "vit": ImageShape("vit", (16,), (3,), side=8, heads=2, mlp=24, patch=2),
}
every_family = pytest.mark.parametrize("family", SMALL)


def images(shape: ImageShape, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(count, shape.channels, shape.side, shape.side, generator=generator)


@pytest.mark.parametrize("preset", IMAGE_PRESETS)
def test_the_network_has_as_many_parameters_as_its_shape_says(preset: str) -> None:
    with torch.device("meta"):
        model = build(IMAGE_PRESETS[preset])
    assert sum(parameter.numel() for parameter in model.parameters()) == IMAGE_PRESETS[preset].parameters


@pytest.mark.parametrize("preset", IMAGE_PRESETS)
def test_a_training_step_costs_the_closed_form(preset: str) -> None:
    shape = IMAGE_PRESETS[preset]
    model = build(shape)
    with counted() as counter:
        model(images(shape, 1)).sum().backward()
    assert counter.get_total_flops() == shape.train_flops(1)


def test_resnets_have_the_size_and_the_cost_that_others_published() -> None:
    """0.27 M parameters (He et al.); 83.28 M and 168.2 M multiply-adds (FracTrain's table of ResNet-38 and -74)."""
    assert IMAGE_PRESETS["resnet20"].parameters == pytest.approx(0.27e6, rel=0.01)
    assert 40.6e6 < IMAGE_PRESETS["resnet20"].macs < 41e6
    assert IMAGE_PRESETS["resnet38"].macs == pytest.approx(83.28e6, rel=1e-4)
    assert IMAGE_PRESETS["resnet74"].macs == pytest.approx(168.2e6, rel=1e-3)


@every_family
def test_small_and_odd_sizes_cost_the_closed_form(family: str) -> None:
    shape = SMALL[family]
    model = build(shape)
    assert sum(parameter.numel() for parameter in model.parameters()) == shape.parameters
    with counted() as counter:
        model(images(shape)).sum().backward()
    assert counter.get_total_flops() == 2 * shape.train_flops()


@every_family
def test_an_attack_that_asks_for_the_image_gradient_alone_costs_the_closed_form(family: str) -> None:
    shape, model = SMALL[family], build(SMALL[family])
    pixels = images(shape).requires_grad_()
    with counted() as counter:
        torch.autograd.grad(model(pixels).sum(), pixels)
    assert counter.get_total_flops() == 2 * shape.attack_flops < 2 * shape.train_flops()


@every_family
@pytest.mark.parametrize("frozen", [1, 2, -1])
def test_a_frozen_front_costs_the_closed_form(family: str, frozen: int) -> None:
    shape, model = SMALL[family], build(SMALL[family])
    frozen %= len(model.blocks) + 1
    with counted() as counter:
        with torch.no_grad():
            x = model.stem(images(shape))
            for block in model.blocks[:frozen]:
                x = block(x)
        for block in model.blocks[frozen:]:
            x = block(x)
        model.head(model.pool(x)).sum().backward()
    assert counter.get_total_flops() == 2 * replace(shape, frozen=frozen).train_flops()


@every_family
def test_each_part_costs_its_own_closed_form(family: str) -> None:
    shape, model = SMALL[family], build(SMALL[family])
    x: Tensor = images(shape)
    for part, module in zip(shape.parts[:-1], [model.stem, *model.blocks], strict=True):
        with counted() as counter:
            x = module(x)
        assert counter.get_total_flops() == 2 * part.forward_flops
        assert sum(parameter.numel() for parameter in module.parameters()) == part.parameters
        spread = x.shape[1:] if family != "vit" else torch.Size([x.shape[2], part.side, part.side])
        assert spread == (part.outputs, part.side, part.side)


@every_family
def test_pixels_are_normalised_before_anything_else(family: str) -> None:
    model = build(SMALL[family]).eval()
    pixels = images(SMALL[family])
    channels = SMALL[family].channels
    mean, std = torch.linspace(0.2, 0.5, channels), torch.linspace(0.1, 0.3, channels)
    expected = model((pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1))
    model.normalise(mean, std)
    torch.testing.assert_close(model(pixels), expected)
    assert {"stem.0.mean", "stem.0.std"} <= model.state_dict().keys()


@every_family
def test_the_forward_pass_is_the_trunk_in_order(family: str) -> None:
    model = build(SMALL[family]).eval()
    x = model.stem(images(SMALL[family]))
    for block in model.blocks:
        x = block(x)
    torch.testing.assert_close(model(images(SMALL[family])), model.head(model.pool(x)), rtol=0, atol=0)


@every_family
def test_every_parameter_gets_a_gradient(family: str) -> None:
    model = build(SMALL[family])
    model(images(SMALL[family], 8)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())


@every_family
def test_every_family_learns_to_tell_bright_from_dark(family: str) -> None:
    torch.manual_seed(0)
    model = build(SMALL[family])
    pixels = torch.cat((0.4 * images(SMALL[family], 16), 0.6 + 0.4 * images(SMALL[family], 16)))
    labels = torch.arange(2).repeat_interleave(16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(pixels), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert accuracy(model, pixels, labels) == 1.0


def accuracy(model: Classifier, pixels: Tensor, labels: Tensor) -> float:
    return float((model.eval()(pixels).argmax(1) == labels).float().mean())


def test_wider_multiplies_every_width() -> None:
    assert IMAGE_PRESETS["resnet32-2x"].widths == (32, 64, 128)
    assert IMAGE_PRESETS["resnet32-2x"].depths == IMAGE_PRESETS["resnet32"].depths


def test_patches_that_do_not_cover_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="30 pixels do not divide into patches of 4"):
        replace(IMAGE_PRESETS["vit-nano"], side=30)
