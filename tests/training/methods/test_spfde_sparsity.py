from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from tests.training.methods.test_spfde import begun, images, timetable, trained
from tests.training.workbench import Workbench
from training.flops import Tally
from training.loop import Hook, Loop, advance
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.sparsity import Masks, draw, effective, grow, prune
from training.models.build import build
from training.models.classifier import Classifier
from training.models.images import IMAGE_PRESETS
from training.records import Purpose

SOFT = SpfdeKnobs(freeze=0, sparsity=0.9, intervals=8)
PLAIN = SOFT.model_copy(update={"growth": "EM", "margin": 0.02})


def masks(loop: Loop) -> Masks:
    return next(hook for hook in loop.hooks if isinstance(hook, Masks))


def off_by(active: float, share: float, total: int) -> float:
    return abs(active - share * total)


def weights(loop: Loop) -> dict[str, Any]:
    return {name: weight for block in masks(loop).blocks for name, weight in block.items()}


def test_pruning_keeps_the_largest_and_growing_adds_none_that_is_on() -> None:
    weight = torch.tensor([[0.1, -5.0, 3.0], [-0.2, 0.0, 9.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    left = prune(weight, mask, 2)
    assert left.tolist() == [[False, True, True], [False, False, False]]
    grown = grow(left, 4, torch.Generator().manual_seed(0))
    assert int(grown.sum()) == 4
    assert (grown | ~left).all()


def test_growing_is_uniform_over_what_is_off() -> None:
    left = torch.tensor([True, False, False, False, False])
    drawn = torch.stack([grow(left, 3, torch.Generator().manual_seed(seed)) for seed in range(2000)]).double().mean(0)
    assert drawn.tolist() == pytest.approx([1, 0.5, 0.5, 0.5, 0.5], abs=0.05)


def test_masks_start_at_the_sparsity_in_every_layer_but_the_first_and_the_last(bench: Workbench) -> None:
    loop = begun(bench, images(bench, SOFT))
    model = loop.learner.model
    assert isinstance(model, Classifier)
    convolutions = [m.weight for m in model.blocks.modules() if isinstance(m, nn.Conv2d)]
    assert {id(weight) for weight in weights(loop).values()} == {id(weight) for weight in convolutions}
    for name, weight in weights(loop).items():
        assert off_by(int(masks(loop).masks[name].sum()), 0.1, weight.numel()) <= 1
        assert int(weight.count_nonzero()) == int(masks(loop).masks[name].sum())
    first = [p for p in model.stem.parameters() if p.dim() == 4]
    assert all(p.count_nonzero() == p.numel() for p in (*first, model.head.weight))


@pytest.mark.parametrize("knobs", [SOFT, PLAIN])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_masked_weights_are_zero_after_every_step(bench: Workbench, knobs: SpfdeKnobs, name: str) -> None:
    loop = begun(bench, images(bench, knobs, optim={"name": name, "learning_rate": 0.01}))

    def look(loop: Loop) -> None:
        for layer, weight in weights(loop).items():
            assert not weight[~masks(loop).masks[layer]].any()

    trained(loop, 20, look)


def test_masked_weights_have_no_gradient_for_clipping_and_momentum_to_see(bench: Workbench) -> None:
    class Watch(Hook):
        def before_update(self, loop: Loop) -> None:
            for layer, weight in weights(loop).items():
                assert weight.grad.any()
                assert not weight.grad[~masks(loop).masks[layer]].any()

    loop = begun(bench, images(bench, SOFT))
    loop.hooks = (*loop.hooks, Watch())
    trained(loop, 5)


def test_the_soft_bound_grows_beyond_and_comes_back_to_the_sparsity(bench: Workbench) -> None:
    loop, seen = begun(bench, images(bench, SOFT, budget={"steps": 80})), list[float]()
    layer = max(weights(loop), key=lambda name: weights(loop)[name].numel())
    total = weights(loop)[layer].numel()
    trained(loop, 80, lambda loop: seen.append(int(masks(loop).masks[layer].sum()) / total))
    assert [round(share, 3) for share in seen[9::10]] == [0.15] * 4 + [0.125] + [0.1] * 3
    for name, weight in weights(loop).items():
        assert off_by(int(masks(loop).masks[name].sum()), 0.1, weight.numel()) <= 1


def test_pruned_to_the_sparsity_first_and_what_grows_starts_at_zero(bench: Workbench) -> None:
    loop = trained(begun(bench, images(bench, SOFT, budget={"steps": 80})), 20)
    for name, weight in weights(loop).items():
        assert off_by(int(weight.count_nonzero()), 0.1, weight.numel()) <= 1
        assert off_by(int(masks(loop).masks[name].sum()), 0.15, weight.numel()) <= 1


def test_plain_growth_keeps_the_number_of_weights_and_moves_some(bench: Workbench) -> None:
    loop = begun(bench, images(bench, PLAIN, budget={"steps": 80}))
    before = {name: mask.clone() for name, mask in masks(loop).masks.items()}
    trained(loop, 10)
    for name, mask in masks(loop).masks.items():
        assert mask.sum() == before[name].sum()
        assert off_by(int((before[name] & ~mask).sum()), 0.02, mask.numel()) <= 0.01 * mask.numel()
        assert not torch.equal(mask, before[name])


def test_frozen_blocks_keep_their_masks_and_have_the_sparsity(bench: Workbench) -> None:
    knobs = SOFT.model_copy(update={"freeze": 0.3})
    spec = images(bench, knobs, budget={"steps": 80})
    at = timetable(spec).step(timetable(spec).freezes[0])
    loop = trained(begun(bench, spec), at)
    still = {name: masks(loop).masks[name].clone() for name in masks(loop).blocks[0]}
    assert all(off_by(int(mask.sum()), 0.1, mask.numel()) <= 1 for mask in still.values())
    assert masks(loop).densities[2] > 0.12
    trained(loop, 80)
    assert all(torch.equal(mask, masks(loop).masks[name]) for name, mask in still.items())


@pytest.mark.parametrize("preset", ["resnet14", "vit-nano"])
@pytest.mark.parametrize("frozen", [0, 2])
def test_the_discount_is_the_share_of_products_with_weights_that_are_there(preset: str, frozen: int) -> None:
    shape = IMAGE_PRESETS[preset]
    densities = [0.1 * (number + 1) for number in range(6)]
    products = list[float]()
    for number, block in enumerate(shape.blocks):
        passes = 1 if number < frozen else 3
        without_entry = 2 * block.entry_macs if number == frozen > 0 else 0
        products.append(2 * passes * (block.macs - block.attention_macs) - without_entry)
    saved = sum((1 - density) * flops for density, flops in zip(densities, products, strict=True))
    assert effective(shape, frozen, densities) == pytest.approx(1 - saved / replace(shape, frozen=frozen).train_flops())
    assert effective(shape, frozen, [1.0] * 6) == 1


class Weighed(Tally):
    """Counts, and weighs each convolution by the density of its kernel."""

    def __init__(self, densities: dict[int, float]) -> None:
        super().__init__()
        self.densities, self.effective = densities, 0.0

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        before = self.get_total_flops()
        out = super()._count_flops(func_packet, out, args, kwargs)
        kernel = next((arg for arg in args[:3] if isinstance(arg, Tensor) and arg.data_ptr() in self.densities), None)
        density = 1.0 if kernel is None else self.densities[kernel.data_ptr()]
        self.effective += density * (self.get_total_flops() - before)
        return out


@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
def test_the_discount_is_what_the_counter_finds_convolution_by_convolution(frozen: int) -> None:
    shape, densities = IMAGE_PRESETS["resnet14"], [0.1 * (number + 1) for number in range(6)]
    model = build(shape)
    for part in [model.stem, *model.blocks[:frozen]] if frozen else []:
        part.requires_grad_(False)
    kernels = {
        module.weight.data_ptr(): density
        for block, density in zip(model.blocks, densities, strict=True)
        for module in block.modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    with Weighed(kernels) as counter:
        model(torch.rand(2, 3, 32, 32)).sum().backward()
    assert len(kernels) == 14
    assert counter.effective / counter.get_total_flops() == pytest.approx(effective(shape, frozen, densities), rel=1e-9)


def test_masks_save_effective_flops_alone(bench: Workbench) -> None:
    spec = images(bench, SOFT.model_copy(update={"freeze": 0.3}), budget={"steps": 24})
    loop = begun(bench, spec)
    executed, saved = 0.0, 0.0
    while loop.step < 24:
        frozen, densities = timetable(spec).frozen(loop.step), list(masks(loop).densities)
        advance(loop)
        flops = 4 * replace(spec.shape, frozen=frozen).train_flops()
        executed, saved = executed + flops, saved + flops * (1 - effective(spec.shape, frozen, densities))
    line = loop.lab.ledger.line("train", Purpose.TRAIN)
    assert line.executed == executed
    assert line.effective == pytest.approx(executed - saved)
    assert line.effective < 0.25 * executed


def test_masks_are_drawn_by_seed() -> None:
    drawn = [draw(torch.ones(9, 9), 8, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert [int(mask.sum()) for mask in drawn] == [8, 8, 8]


@pytest.mark.parametrize("changed", [{"sparsity": 0.04}, {"sparsity": 0.97, "growth": "EM"}])
def test_a_margin_that_leaves_no_mask_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="leaves no such mask"):
        SpfdeKnobs.model_validate(changed)
