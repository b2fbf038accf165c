from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.workbench import Trained, Workbench
from training import assembly
from training.flops import counted
from training.methods.fractrain.card import FracTrainKnobs
from training.methods.fractrain.costs import least_percent
from training.methods.fractrain.indicator import Indicator
from training.methods.fractrain.method import Fractional, last_weight
from training.methods.fractrain.simulation import Bill, Simulation
from training.models.build import build
from training.models.images import IMAGE_PRESETS
from training.models.shape import PRESETS
from training.parts.bits import Bits
from training.records import Purpose
from training.spec import RunSpec

IMAGES = "image_classification"
QUICK: dict[str, Any] = {"epoch": 0.1, "window": 2, "eps": 10.0}
"""A turning point at every second tenth of the run."""


def indicator(**changes: Any) -> Indicator:
    return Indicator(**{"eps": 0.15, "alpha": 0.4, "window": 5, "most": 3} | changes)


def turns(seen: Indicator, losses: Sequence[float]) -> list[int]:
    """Epochs, from 1, at which it turns."""
    return [epoch for epoch, loss in enumerate(losses, start=1) if seen.see(loss)]


def simulation(model: nn.Module, bits: Bits) -> Simulation:
    made = Simulation(model, exempt=[last_weight(model)], momentum=0.9, clip=False, stochastic=True)
    made.bits = bits
    return made


def inputs(model: str) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if model in PRESETS:
        return torch.randint(0, 512, (2, 16), generator=generator)
    shape = IMAGE_PRESETS[model]
    return torch.rand(2, shape.channels, shape.side, shape.side, generator=generator)


def network(model: str) -> nn.Module:
    return build(PRESETS[model]) if model in PRESETS else build(IMAGE_PRESETS[model])


class Operands(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the different values in what reaches each convolution and matrix product, and comes back to it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = defaultdict[str, list[int]](list)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function).split(".")[1]
        if name in ("convolution", "convolution_backward", "addmm"):
            first = args[1] if name == "addmm" else args[0]
            self.values[name].append(len(set(first.flatten().tolist())))
            if name == "convolution":
                self.values["channel"].append(max(len(set(channel.flatten().tolist())) for channel in args[1]))
        return function(*args, **kwargs or {})


def trained(bench: Workbench, knobs: FracTrainKnobs, *, steps: int = 30, stop_every: int | None = None) -> Trained:
    spec = bench.spec("fractrain", knobs, task=IMAGES, budget={"steps": steps}, batch_size=8)
    return bench.train(spec, stop_every=stop_every)


def changed(spec: RunSpec, **changes: Any) -> RunSpec:
    return RunSpec.model_validate(spec.model_dump() | changes)


def last(done: Trained, name: str) -> float:
    return done.series(f"method/{name}")[-1][1]


def test_a_loss_that_stands_still_turns_once_per_window() -> None:
    assert turns(indicator(), [2.0] * 30) == [5, 10, 15]


def test_a_loss_that_falls_beyond_the_threshold_never_turns() -> None:
    falling = [10 * 0.8**epoch for epoch in range(10)]
    assert turns(indicator(eps=0.01), falling) == []
    assert turns(indicator(), [2.0, 1.5, 1.0, 0.5, 0.1]) == []


def test_every_loss_of_the_window_must_lie_near_the_newest() -> None:
    assert turns(indicator(), [9.0, 2.0, 2.0, 2.0, 2.0, 2.0]) == [6]


def test_the_threshold_shrinks_at_the_first_two_turns_alone() -> None:
    seen = indicator()
    thresholds = [seen.eps for loss in [2.0] * 15 if seen.see(loss)]
    assert thresholds == pytest.approx([0.15 * 0.4, 0.15 * 0.4**2, 0.15 * 0.4**2])


def test_the_scale_is_the_mean_of_ten_epochs_and_then_stands_still() -> None:
    seen = indicator(most=0)
    scales = [seen.scale for loss in (4.0, 2.0, 3.0, *[3.0] * 7, 100.0) if seen.see(loss) is not None]
    assert scales[:3] == [4.0, 3.0, 3.0]
    assert scales[-2:] == [3.0, 3.0]


def test_an_indicator_goes_on_where_it_was_stored() -> None:
    losses = [2.0, 2.1, 1.9, 2.0, 2.0, 1.95, 1.96, 1.96, 1.95, 1.95, 1.95]
    whole, first, second = indicator(), indicator(), indicator()
    expected = turns(whole, losses)
    found = turns(first, losses[:7])
    second.load_state_dict(first.state_dict())
    assert found + [7 + epoch for epoch in turns(second, losses[7:])] == expected
    assert second == whole


@pytest.mark.parametrize(
    ("bits", "error", "percent"),
    [(3, 6, 1.465), (4, 6, 2.083), (5, 8, 3.418), (6, 8, 4.297), (8, 8, 6.25), (8, 12, 8.333), (8, 16, 10.417)],
)
def test_a_step_costs_what_its_bits_say(bits: int, error: int, percent: float) -> None:
    assert 100 * Bits(bits, bits, error).step == pytest.approx(percent, abs=5e-4)
    assert Bits(bits, bits, error).step == pytest.approx((bits**2 + 2 * bits * error) / 3072)


def test_the_options_of_a_gate_cost_what_the_card_says() -> None:
    assert [100 * option.step for option in FracTrainKnobs().options] == pytest.approx(
        [1.758, 2.083, 2.604, 3.385, 4.688], abs=5e-4
    )
    assert 100 * least_percent(FracTrainKnobs(option_bits="8 3", option_error_bits="8 6").options) / 100 < 1.76
    wide = FracTrainKnobs(weight_bits=6, option_bits="3 4 6 8", option_error_bits="6 8 12 16")
    assert [100 * option.step for option in wide.options] == pytest.approx([2.344, 3.385, 5.859, 8.854], abs=5e-4)


def test_the_bill_of_a_convolution() -> None:
    x, weight = torch.rand(1, 3, 8, 8, requires_grad=True), torch.rand(16, 3, 3, 3, requires_grad=True)
    bill, macs, bits = Bill(), 27_648, Bits(3, 3, 6)
    bill.product(2 * macs, x, weight, bits)
    assert [macs * part for part in (bits.forward, bits.backward, bits.gradient)] == [243.0, 486.0, 486.0]
    assert bill.effective == 2 * 1215.0
    assert bill.executed == 6 * macs


@pytest.mark.parametrize("model", ["resnet8", "cnn-small", "vit-nano", "gpt2-nano", "llama-nano"])
def test_what_is_billed_as_executed_is_what_is_counted(model: str) -> None:
    made = network(model)
    context = simulation(made, Bits(3, 3, 6))
    with counted() as counter:
        with context:
            out = made(inputs(model))
        out.square().mean().backward()
    assert context.bill.executed == counter.get_total_flops()
    assert 0 < context.bill.share < 1


def test_every_layer_but_the_last_runs_on_few_values() -> None:
    model = network("resnet8")
    with simulation(model, Bits(3, 2, 4)), Operands() as seen:
        out = model(inputs("resnet8"))
    with seen:
        out.square().mean().backward()
    assert max(seen.values["convolution"]) <= 8
    assert max(seen.values["channel"]) <= 4
    assert max(seen.values["convolution_backward"]) <= 16
    assert min(seen.values["addmm"]) > 64


def test_full_bits_are_dense_training_bit_for_bit(bench: Workbench) -> None:
    full = trained(bench, FracTrainKnobs(bits="0 32", error_bits="32 0"))
    dense = bench.train(bench.spec(task=IMAGES, budget={"steps": 30}, batch_size=8))
    assert all(torch.equal(weight, full.weights()[name]) for name, weight in dense.weights().items())
    assert full.lab.score(full.outcome) == dense.lab.score(dense.outcome)
    assert last(full, "effective_share") == 1.0


def test_precision_rises_at_turning_points_and_never_falls(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(**QUICK))
    bits = [value for _, value in done.series("method/bits")]
    assert sorted(set(bits)) == [3, 4, 6, 8]
    assert all(before <= after for before, after in pairwise(bits))
    assert next(step for step, value in done.series("method/turning_points") if value) == 6
    assert last(done, "turning_points") == 3


def test_the_last_stage_is_the_static_reference(bench: Workbench) -> None:
    done, static = trained(bench, FracTrainKnobs(**QUICK)), trained(bench, FracTrainKnobs(bits="8", error_bits="8"))
    assert last(done, "effective_share") == last(static, "effective_share")
    assert (last(done, "bits"), last(done, "error_bits")) == (8, 8)
    assert last(static, "turning_points") == 0
    assert 0 < effective(done) < effective(static) < 0.1


def effective(done: Trained) -> float:
    """Share of the executed training FLOPs."""
    line = done.lab.ledger.line("train", Purpose.TRAIN)
    return line.effective / line.executed


def test_the_effective_share_follows_the_closed_form(bench: Workbench) -> None:
    static = trained(bench, FracTrainKnobs(bits="4", error_bits="6"))
    shape, bits = static.lab.spec.shape, Bits(4, 4, 6)
    rounded = 6 * sum(block.macs for block in shape.blocks) * bits.step
    stem = 2 * shape.stem.macs * (bits.forward + bits.gradient)
    assert effective(static) == pytest.approx((rounded + stem + shape.head_train_flops) / shape.train_flops())


def test_simulation_saves_nothing(bench: Workbench) -> None:
    dense = bench.train(bench.spec(task=IMAGES, budget={"steps": 30}, batch_size=8))
    assert trained(bench, FracTrainKnobs()).training() == dense.training()
    assert trained(bench, FracTrainKnobs(mode="dfq")).training() > 4 * dense.training()


def test_an_image_is_judged_without_its_batch(bench: Workbench) -> None:
    done = trained(bench, FracTrainKnobs(bits="3", error_bits="6"))
    predict = done.outcome.predict
    assert predict is not None
    images = done.lab.task.batch(torch.arange(6))["images"]
    images[3] *= 5
    done.outcome.model.eval()
    assert torch.allclose(predict(images)[:2], predict(images[:2]), atol=1e-5)
    assert not torch.allclose(predict(images[:2]), done.outcome.model(images[:2]), atol=1e-3)


@pytest.mark.parametrize("mode", ["pfq", "dfq", "fractrain"])
def test_interruption_changes_nothing(mode: Any, bench: Workbench) -> None:
    knobs = FracTrainKnobs(**QUICK, mode=mode)
    smooth, torn = trained(bench, knobs), trained(bench, knobs, stop_every=7)
    assert torn.attempts > 3
    assert all(torch.equal(weight, torn.weights()[name]) for name, weight in smooth.weights().items())
    series = {point.name for point in smooth.memory.points}
    assert all(smooth.series(name) == torn.series(name) for name in series)
    assert effective(smooth) == effective(torn)
    expected = smooth.lab.score(smooth.outcome)
    assert torn.lab.score(torn.outcome) == expected
    torn.memory.stop_every = None
    late = bench.lab(torn.lab.spec, torn.memory)
    assert late.score(assembly.run(late)) == expected


def test_an_evolving_subnetwork_trains_in_low_precision(bench: Workbench) -> None:
    alone = bench.train(bench.spec("est", budget={"steps": 30}))
    both = changed(alone.lab.spec, methods=["est", "fractrain"], knobs={"fractrain": QUICK})
    smooth, torn = bench.train(both), bench.train(both, stop_every=7)
    assert smooth.training() == alone.training()
    assert smooth.series("val/loss") == torn.series("val/loss")
    assert smooth.series("method/stage") == alone.series("method/stage")
    assert last(smooth, "bits") == 8
    first, final = smooth.series("train/loss")[0][1], smooth.series("train/loss")[-1][1]
    assert final < first - 0.5


def test_slices_of_a_network_are_billed_as_they_run(bench: Workbench) -> None:
    knobs = {"est": {"stage1": 1.0, "stage2": 0.0}, "fractrain": {}}
    both = changed(bench.spec(), methods=["est", "fractrain"], knobs=knobs, budget={"steps": 1})
    done = bench.train(both)
    (fractional,) = (hook for hook in done.lab.hooks if isinstance(hook, Fractional))
    assert fractional.simulation.bill.executed == done.training() < bench.spec(budget={"steps": 1}).train_flops()


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"compile": True}, "knobs.fractrain", "torch.compile"),
        ({"precision": "bf16"}, "knobs.fractrain", "fp32"),
        ({"knobs": {"fractrain": {"mode": "dfq"}}}, "knobs.fractrain", "per image"),
        ({"knobs": {"fractrain": {"bits": "3 4"}}}, "knobs.fractrain", "pairs"),
        ({"knobs": {"fractrain": {"bits": "8 3", "error_bits": "8 8"}}}, "knobs.fractrain", "only rises"),
        ({"knobs": {"fractrain": {"option_bits": "3"}}}, "knobs.fractrain", "differ"),
        ({"knobs": {"fractrain": {"bits": "3, 4"}}}, "knobs.fractrain.bits", "pattern"),
    ],
)
def test_what_cannot_be_simulated_is_refused(changes: dict[str, Any], path: str, words: str, bench: Workbench) -> None:
    with pytest.raises(ValidationError) as refusal:
        changed(bench.spec("fractrain"), **changes)
    (error,) = refusal.value.errors()
    assert ".".join(map(str, error["loc"])) == path
    assert words in error["msg"]
