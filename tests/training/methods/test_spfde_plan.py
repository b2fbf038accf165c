from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from tests.training.workbench import Workbench
from training.flops import counted
from training.methods.spfde.card import PRESETS
from training.methods.spfde.knobs import SpfdeKnobs
from training.methods.spfde.plan import plan, stages, times
from training.models.build import build
from training.models.images import IMAGE_PRESETS
from training.models.shape import PRESETS as DECODERS

HAND = (9, 7, 5)
"""Three equal blocks, 1 forward and 2 backward each, with none, one and two of them frozen."""


@pytest.mark.parametrize(
    ("target", "starts"), [(0.2, (4, 6)), (20 / 108, (6, 8)), (0.15, (6, 8)), (4 / 108, (10,)), (0.0, ())]
)
def test_the_plan_of_three_equal_blocks(target: float, starts: Sequence[int]) -> None:
    """Over 12 epochs two blocks save 44 - 4 * start of 108: starting at 6 saves 20, too little for a fifth."""
    assert plan(HAND, length=12, every=2, target=target) == tuple(starts)


def test_freezing_stops_once_the_target_is_reached() -> None:
    assert plan((4, 1, 0.9), length=10, every=1, target=0.6) == (2,)


def test_a_target_out_of_reach_is_refused_with_what_can_be_had() -> None:
    with pytest.raises(ValueError, match=r"2 blocks saves at most 33\.3%"):
        plan(HAND, length=12, every=2, target=0.34)


@pytest.mark.parametrize("preset", ["resnet8", "resnet14", "resnet32-2x", "vit-nano", "gpt2-tiny", "llama-mini"])
def test_a_plan_saves_its_target_and_starting_later_would_not(preset: str) -> None:
    shape, knobs = (IMAGE_PRESETS[preset] if preset in IMAGE_PRESETS else DECODERS[preset]), SpfdeKnobs()
    starts = times(knobs, shape, shape.context)
    costs = [replace(shape, frozen=k).train_flops(shape.context) for k in range(len(starts) + 1)]

    def saved(starts: Sequence[int]) -> float:
        by_block = zip(starts, pairwise(costs), strict=True)
        return sum((before - after) * (32 - at) for at, (before, after) in by_block) / (32 * costs[0])

    assert all(later == earlier + 1 for earlier, later in pairwise(starts))
    assert saved(starts) >= 0.2 > saved([at + 1 for at in starts])
    executed = sum(stage.share * stage.flops_per_token for stage in stages(knobs, shape, shape.context))
    assert 1 - executed / costs[0] == pytest.approx(saved(starts))


@pytest.mark.parametrize("preset", ["gpt2-nano", "llama-nano"])
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_a_decoder_with_a_frozen_front_costs_the_closed_form(preset: str, frozen: int) -> None:
    model, tokens = build(DECODERS[preset]), torch.arange(32)[None]
    with counted() as counter:
        with torch.no_grad():
            x, rotation = model.embed(tokens), model.rotation(32)
            for layer in model.layers[:frozen]:
                x = layer(x, rotation)
        for layer in model.layers[frozen:]:
            x = layer(x.requires_grad_(), rotation)
        F.linear(model.norm(x), (model.head or model.embedding).weight).sum().backward()  # type: ignore[no-untyped-call]
    assert counter.get_total_flops() == 32 * replace(DECODERS[preset], frozen=frozen).train_flops(32)


@pytest.mark.parametrize("changed", [{"sieve": 0.2}, {"sparsity": 0.9}])
def test_texts_are_neither_sieved_nor_masked(bench: Workbench, changed: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="are for images"):
        bench.spec("spfde", SpfdeKnobs(**changed))


def test_a_target_that_the_network_cannot_reach_is_refused(bench: Workbench) -> None:
    with pytest.raises(ValidationError, match=r"at most .* of gpt2-nano: ask for less"):
        bench.spec("spfde", SpfdeKnobs(freeze=0.3))


def test_presets_are_the_papers_arms_and_suit_its_network() -> None:
    for percent in (15, 20, 25):
        knobs = PRESETS[f"spfde-{percent}-{percent}"]
        assert (knobs.freeze, knobs.sieve, knobs.sparsity) == (percent / 100, percent / 100, 0.9)
        assert times(knobs, IMAGE_PRESETS["resnet32-2x"], 1)
