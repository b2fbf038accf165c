from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from tests.training.methods.test_fractrain import IMAGES, QUICK, effective, last, simulation, trained
from tests.training.workbench import Workbench
from training.methods.fractrain.card import FracTrainKnobs, stages
from training.methods.fractrain.costs import chosen_percent, least_percent
from training.methods.fractrain.gates import Chooser, one_hot, push
from training.methods.fractrain.reproduction import OPTIONS, REPRODUCTION, SHAPE
from training.models.build import build
from training.models.images import ImageShape
from training.parts.bits import Bits
from training.records import Purpose
from training.spec import RunSpec

SMALL = ImageShape("resnet", (4, 8), (1, 1), side=8, channels=1)


def test_a_choice_is_exactly_one_hot_and_has_the_gradient_of_the_softmax() -> None:
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(2), requires_grad=True)
    mask, weights = one_hot(logits.softmax(-1)), torch.arange(5.0)
    assert torch.equal(mask.sort(-1).values, torch.tensor([0.0, 0, 0, 0, 1]).expand(50, 5))
    assert torch.equal(mask.argmax(-1), logits.argmax(-1))
    (found,) = torch.autograd.grad((mask @ weights).sum(), logits)
    (soft,) = torch.autograd.grad((logits.softmax(-1) @ weights).sum(), logits)
    assert torch.equal(found, soft)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("dfq", [-1, -0.1, -0.1, 0.1, 0.1, 1, 1]), ("fractrain", [-1, -1, -1, 0, 0, 1, 1])],
)
def test_the_price_pushes_towards_the_target(mode: Any, expected: list[float]) -> None:
    knobs = FracTrainKnobs(mode=mode, band=0.5)
    ways = [float(push(torch.tensor(percent), 3.0, knobs)) for percent in (2.4, 2.5, 2.9, 3.0, 3.4, 3.5, 9.0)]
    assert ways == pytest.approx(expected)
    assert float(push(torch.tensor(3.0), 3.0, FracTrainKnobs(mode=mode))) == 1


def chosen(knobs: FracTrainKnobs, choices: Sequence[Sequence[int]]) -> Chooser:
    """A chooser whose gates chose these options, by block and image."""
    model = build(SMALL)
    chooser = Chooser(model, knobs, simulation(model, Bits(0, 0, 0)), batch_size=len(choices[0]))
    chooser.masks = [F.one_hot(torch.tensor(block), len(knobs.options)).float() for block in choices]
    return chooser


def test_the_cost_of_a_batch_is_what_its_images_chose() -> None:
    knobs = FracTrainKnobs(mode="dfq", beta=0.5, target=1.0)
    chooser = chosen(knobs, [[0, 4], [1, 1]])
    costs = [3 * option.step for option in knobs.options]
    assert chooser.cost().tolist() == pytest.approx([costs[0] + costs[1], costs[4] + costs[1]])
    assert float(chooser.percent()) == pytest.approx((1.758 + 4.688 + 2 * 2.083) / 4, abs=1e-3)
    loss = torch.tensor(2.0)
    total = float(chooser.cost().sum())
    assert float(chooser.penalty(loss, 1.0)) == pytest.approx(0.5 * total)
    assert float(chooser.penalty(loss, 50.0)) == pytest.approx(-0.5 * total)
    for change, expected in (({"price_over": "mean"}, total / 4), ({"beta": 90.0, "price_cap": True}, 0.2)):
        changed = chosen(knobs.model_copy(update=change), [[0, 4], [1, 1]])
        assert float(changed.penalty(loss, 1.0)) == pytest.approx(expected)


def test_blocks_may_weigh_by_their_products() -> None:
    knobs = FracTrainKnobs(mode="dfq", weighting="macs")
    percent = float(chosen(knobs, [[0], [4]]).percent())
    first, second = (block.macs for block in SMALL.blocks)
    assert first != second
    assert percent == pytest.approx((1.758 * first + 4.688 * second) / (first + second), abs=1e-3)


def test_a_block_is_what_the_chosen_option_makes_of_each_image() -> None:
    model = build(SMALL).eval()
    knobs = FracTrainKnobs(mode="dfq", option_bits="2 0", option_error_bits="6 0", weight_bits=0)
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    exact = model(images)
    for option, matches in ((1, True), (0, False)):
        context = simulation(model, Bits(0, 0, 0))
        chooser = Chooser(model, knobs, context, batch_size=6)
        bias = chooser.gates.choose.bias.detach()
        bias[option] += 100
        with context, chooser.installed():
            assert torch.allclose(model(images), exact, atol=1e-6) is matches
        assert [mask.argmax(-1).tolist() for mask in chooser.masks] == [[option] * 6] * 2
    assert torch.equal(model(images), exact)


@pytest.mark.parametrize("model", ["resnet8", "cnn-small", "vit-nano"])
def test_every_option_of_every_block_is_executed_and_forecast(model: str, bench: Workbench) -> None:
    knobs = FracTrainKnobs(mode="dfq", option_bits="3 6 8", option_error_bits="6 8 8")
    spec = bench.spec("fractrain", knobs, task=IMAGES, model={"preset": model}, budget={"steps": 3})
    done = bench.train(spec)
    assert done.training() == pytest.approx(spec.train_flops(), rel=1e-9)
    assert stages(knobs, spec.shape, 1)[0].flops_per_token > 2 * spec.shape.train_flops()


def test_the_effective_cost_of_gates_is_that_of_their_choices(bench: Workbench) -> None:
    knobs = FracTrainKnobs(mode="dfq", option_bits="4 4", option_error_bits="6 6", weight_bits=4)
    done, shape = trained(bench, knobs, steps=3), bench.spec(task=IMAGES).shape
    blocks = sum(block.train_flops for block in shape.blocks)
    total = stages(knobs, shape, 1)[0].flops_per_token
    assert effective(done) == pytest.approx((total - 2 * blocks + blocks * Bits(4, 4, 6).step) / total)


def test_the_chosen_cost_goes_where_the_target_is(bench: Workbench) -> None:
    dear = {"mode": "dfq", "option_bits": "3 8", "option_error_bits": "6 8", "beta": 1.0, "price_over": "mean"}
    low = trained(bench, FracTrainKnobs(**dear, target=1.0), steps=60)
    high = trained(bench, FracTrainKnobs(**dear, target=50.0), steps=60)
    assert last(low, "cost_percent") == pytest.approx(last(low, "least_percent"))
    assert last(high, "cost_percent") > 1.5 * last(low, "cost_percent")


def test_a_turning_point_raises_the_target(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(**QUICK, mode="fractrain", target=2.0))
    targets = [value for _, value in done.series("method/target_percent")]
    assert list(dict.fromkeys(targets)) == [2.0, 2.5, 3.0, 3.5]


@pytest.mark.parametrize(("mode", "refused"), [("pfq", False), ("dfq", True), ("fractrain", True)])
def test_gates_are_refused_where_steps_pass_them_by(mode: str, refused: bool, bench: Workbench) -> None:
    body = bench.spec(task=IMAGES).model_dump() | {"methods": ["masked_partial", "fractrain"]}
    with pytest.raises(ValidationError, match="has steps without them") if refused else nullcontext():
        RunSpec.model_validate(body | {"knobs": {"fractrain": {"mode": mode}}})


def test_gates_leave_the_weights_of_the_network_alone(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(mode="dfq"), steps=3)
    assert done.weights().keys() == bench.lab(bench.spec(task=IMAGES)).build().state_dict().keys()


def test_cutting_a_batch_does_not_change_its_price() -> None:
    knobs = FracTrainKnobs(mode="dfq", beta=0.5, target=1.0)
    whole = chosen(knobs, [[0, 4], [1, 1]])
    halves = [chosen(knobs, [[first], [1]]) for first in (0, 4)]
    for half in halves:
        half.batch_size = 2
    prices = [float(half.penalty(torch.tensor(2.0), 1.0)) / len(halves) for half in halves]
    assert sum(prices) == pytest.approx(float(whole.penalty(torch.tensor(2.0), 1.0)))


def test_a_run_tells_what_its_gates_chose(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(mode="dfq", option_bits="4 4", option_error_bits="6 6"), steps=3)
    line, shape = done.lab.ledger.line("train", Purpose.TRAIN), done.lab.spec.shape
    effective, executed = line.effective / line.tokens, line.executed / line.tokens
    assert chosen_percent(shape, 2, effective=effective, executed=executed) == pytest.approx(100 * Bits(4, 4, 6).step)


def test_the_reproduction_reads_the_gates_that_it_trains() -> None:
    specs = [RunSpec.model_validate({**REPRODUCTION.spec, **arm.changes}) for arm in REPRODUCTION.arms]
    assert all(spec.shape == SHAPE for spec in specs)
    knobs = [found for spec in specs if isinstance(found := spec.knobs.get("fractrain"), FracTrainKnobs)]
    gated = [found for found in knobs if found.mode != "pfq"]
    assert [len(found.options) for found in gated] == [OPTIONS, OPTIONS]
    assert all(found.target > least_percent(found.options) for found in gated)
