"""The closed form of several methods in one run, held against what was counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.workbench import Workbench
from training import assembly, catalog
from training.parts.bits import Bits
from training.records import Purpose
from training.spec import RunSpec

TEXT, IMAGES = "language_modelling", "image_classification"
WHOLE = {TEXT: 288, IMAGES: 128}
"""Steps of which every stage, interval and node here takes a whole number."""
Knobs = dict[str, dict[str, Any]]


def together(bench: Workbench, task: str, knobs: Knobs, steps: int = 20) -> RunSpec:
    """These methods in one run, with these knobs."""
    body = bench.spec(task=task, budget={"steps": steps}).model_dump()
    return RunSpec.model_validate(body | {"methods": [*knobs], "knobs": knobs})


@pytest.mark.parametrize(
    ("task", "knobs"),
    [
        (TEXT, {"deep_fusion": {}, "est": {}}),
        (TEXT, {"deep_fusion": {"levels": 2, "leaf_steps": 0.5}, "est": {"heads": 0.25}}),
        (TEXT, {"deep_fusion": {}, "est": {}, "fractrain": {}}),
        (TEXT, {"est": {"layers": 1}, "spfde": {}}),
        (TEXT, {"est": {"layers": 1}, "fractrain": {}, "spfde": {"freeze": 0.1}}),
        (IMAGES, {"fractrain": {}, "spfde": {}}),
        (IMAGES, {"fractrain": {"mode": "dfq"}, "spfde": {}}),
        (IMAGES, {"fractrain": {"mode": "dfq"}, "spfde": {"freeze": 0.4, "sieve": 0.25, "sparsity": 0.5}}),
    ],
)
def test_what_methods_execute_together_is_forecast(task: str, knobs: Knobs, bench: Workbench) -> None:
    spec = together(bench, task, knobs, WHOLE[task])
    assert bench.train(spec).training() == pytest.approx(spec.train_flops(), rel=1e-9)


@pytest.mark.parametrize("knobs", [{"deep_fusion": {}, "est": {}}, {"est": {"layers": 1}, "spfde": {}}])
def test_a_budget_in_flops_gives_each_phase_the_steps_that_one_in_steps_does(knobs: Knobs, bench: Workbench) -> None:
    spec = together(bench, TEXT, knobs, WHOLE[TEXT])
    body = spec.model_dump() | {"budget": {"flops": spec.train_flops()}}
    in_steps, in_flops = (bench.train(each).lab.ledger.lines for each in (spec, RunSpec.model_validate(body)))
    for where, line in in_steps.items():
        assert in_flops[where].tokens == pytest.approx(line.tokens, abs=spec.tokens_per_step), where


@pytest.mark.parametrize("knobs", [{"est": {}, "spfde": {}}, {"est": {"layer_draw": "bernoulli"}, "deep_fusion": {}}])
def test_layers_drawn_by_chance_cost_what_is_forecast_on_average(knobs: Knobs, bench: Workbench) -> None:
    spec = together(bench, TEXT, knobs, WHOLE[TEXT])
    assert bench.train(spec).training() == pytest.approx(spec.train_flops(), rel=0.02)


class Forgetful(dict[str, Any]):
    """Counts of steps that a ledger never finds again, so that it counts every step."""

    def __contains__(self, key: object) -> bool:
        return False


@pytest.mark.parametrize(
    "knobs",
    [
        {"est": {"layers": 0.5, "heads": 1, "mlp": 1, "stage1": 1, "stage2": 0}, "spfde": {"freeze": 0.2}},
        {"est": {}, "spfde": {}, "fractrain": {}},
    ],
)
def test_a_step_that_is_booked_without_counting_costs_what_it_would_count(knobs: Knobs, bench: Workbench) -> None:
    """Of two layers the front one runs frozen, or the back one learns, which costs more."""
    spec = together(bench, TEXT, knobs, 40)
    lab = bench.lab(spec)
    lab.ledger._measured = Forgetful()
    assembly.run(lab)
    assert bench.train(spec).training() == lab.ledger.training[0]


@pytest.mark.parametrize("mode", ["pfq", "dfq"])
def test_a_masked_weight_at_few_bits_is_discounted_for_both_product_by_product(mode: str, bench: Workbench) -> None:
    bits = {"bits": "4", "error_bits": "6", "option_bits": "4 4", "option_error_bits": "6 6", "weight_bits": 4}
    knobs: Knobs = {"fractrain": {"mode": mode, **bits}, "spfde": {"freeze": 0, "sparsity": 0.75, "margin": 0}}
    spec = together(bench, IMAGES, knobs, 3)
    shape, line = spec.shape, bench.train(spec).lab.ledger.line("train", Purpose.TRAIN)
    executed, four = line.executed / line.examples, Bits(4, 4, 6)
    blocks, stem = sum(block.train_flops for block in shape.blocks), shape.part_flops()[0]
    dense = executed - (2 if mode == "dfq" else 1) * blocks - stem
    rounded_stem = 2 * shape.stem.macs * (four.forward + four.gradient) if mode == "pfq" else stem
    expected = dense + rounded_stem + blocks * four.step / 4
    assert line.effective / line.examples == pytest.approx(expected, rel=1e-3)


def test_a_sparse_core_at_few_bits_is_discounted_for_both_product_by_product(bench: Workbench) -> None:
    masked = {"core": "sparse", "share": 0.25, "core_steps": 1, "full_steps": 1}
    spec = together(bench, TEXT, {"masked_partial": masked, "fractrain": {"bits": "4", "error_bits": "6"}}, 2)
    shape, line = spec.shape, bench.train(spec).lab.ledger.line("train", Purpose.TRAIN)
    matrices = 6 * shape.layers * (shape.projection_macs + shape.mlp_macs) * Bits(4, 4, 6).step
    whole = shape.train_flops(spec.length) - 6 * shape.layers * (shape.projection_macs + shape.mlp_macs)
    assert line.effective / line.tokens == pytest.approx(whole + matrices * (1 + 0.25) / 2, rel=1e-3)


def test_the_order_of_methods_changes_no_forecast(bench: Workbench) -> None:
    pairs: list[tuple[str, Knobs]] = [
        (IMAGES, {"spfde": {}, "fractrain": {"mode": "dfq"}}),
        (TEXT, {"deep_fusion": {}, "est": {}}),
    ]
    for task, knobs in pairs:
        one, other = together(bench, task, knobs), together(bench, task, dict(reversed(knobs.items())))
        assert one.methods != other.methods
        assert one.train_flops() == other.train_flops()


def test_stages_name_the_phase_and_what_happens_in_it(bench: Workbench) -> None:
    stages = together(bench, TEXT, {"est": {}, "deep_fusion": {}}).stages()
    drawn = ("heads, neurons and layers", "heads and neurons", "whole network")
    assert [stage.name for stage in stages] == [f"{phase} + {name}" for phase in ("leaves", "fused") for name in drawn]
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    assert stages[0].flops_per_token < stages[2].flops_per_token < stages[5].flops_per_token


def test_a_method_alone_costs_what_its_card_says(bench: Workbench) -> None:
    spec = bench.spec("est")
    assert spec.stages() == catalog.card("est").stages(spec.knobs["est"], spec.shape, spec.length)
