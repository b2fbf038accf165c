from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from scipy.stats import chisquare
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.profiler import profile

from tests.training.workbench import Workbench
from training.flops import counted
from training.methods.est.card import PRESETS, EstKnobs, active, block_flops, stages
from training.methods.est.method import draw
from training.models import shape as models
from training.models.build import build
from training.models.decoder import Decoder
from training.models.shape import Shape
from training.models.surgery import Gate, gated

NANO = {family: models.PRESETS[f"{family}-nano"] for family in ("gpt2", "llama")}
FOUR = Shape("gpt2", layers=4, width=64, heads=4, kv_heads=4, mlp=8, vocab=64, context=32)
both = pytest.mark.parametrize("family", NANO)


def listed(index: Tensor | None) -> tuple[int, ...]:
    assert index is not None
    return tuple(index.tolist())


def opened(model: Decoder, gates: Sequence[Gate]) -> Decoder:
    for layer, gate in zip(gated(model), gates, strict=True):
        layer.gate = gate
    return model.train()


def learnt(model: Decoder) -> tuple[Tensor, list[Tensor | None]]:
    """Logits and all gradients of one loss."""
    tokens = torch.randint(0, model.shape.vocab, (2, 33), generator=torch.Generator().manual_seed(4))
    logits = model(tokens[:, :-1])
    torch.autograd.backward(cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()))
    return logits, [parameter.grad for parameter in model.parameters()]


@both
def test_everything_active_is_the_dense_network_bit_for_bit(family: str) -> None:
    dense = build(NANO[family])
    whole = draw(EstKnobs(heads=1, mlp=1, layers=1, layer_scale="inverse"), NANO[family], 1, seed=0, step=0)
    sampled = opened(copy.deepcopy(dense), whole)
    (dense_logits, dense_grads), (logits, grads) = learnt(dense.train()), learnt(sampled)
    assert torch.equal(dense_logits, logits)
    assert all(torch.equal(a, b) for a, b in zip(dense_grads, grads, strict=True) if a is not None and b is not None)
    assert all(grad is not None for grad in grads)


def test_stages_take_their_shares_of_the_steps() -> None:
    knobs = EstKnobs(stage1=0.2, stage2=0.3)
    assert Counter(knobs.stage(step, 50) for step in range(50)) == {1: 10, 2: 15, 3: 25}


def test_steps_beyond_the_plan_train_the_whole_network() -> None:
    assert EstKnobs(stage1=0.5, stage2=0.4).stage(120, 100) == 3


def test_a_subnetwork_kept_to_the_end_is_allowed() -> None:
    assert {EstKnobs(stage1=1, stage2=0).stage(step, 7) for step in range(7)} == {1}


def test_stages_longer_than_the_run_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"stages 1 and 2 take 1\.1 of the steps"):
        EstKnobs(stage1=0.6, stage2=0.5)


def test_layers_are_left_out_in_the_first_stage_only() -> None:
    left_out = [sum(not gate.runs for gate in draw(EstKnobs(), FOUR, stage, seed=0, step=5)) for stage in (1, 2, 3)]
    assert left_out == [2, 0, 0]


def test_heads_and_neurons_are_drawn_in_exact_numbers_with_their_inverse_as_scale() -> None:
    knobs = EstKnobs(heads=0.5, mlp=0.25)
    for step in range(20):
        for gate in draw(knobs, FOUR, 2, seed=0, step=step):
            assert (len(set(listed(gate.heads))), len(set(listed(gate.neurons)))) == (2, 2)
            assert (gate.heads_scale, gate.neurons_scale, gate.layer_scale) == (2.0, 4.0, 1.0)


def test_counts_are_rounded_halves_up_and_never_to_nothing() -> None:
    shape = Shape("gpt2", layers=5, width=60, heads=5, kv_heads=5, mlp=10, vocab=64, context=32)
    counts = active(EstKnobs(heads=0.5, mlp=0.01, layers=0.5), shape, 1)
    assert (counts.heads, counts.mlp, counts.layers) == (3, 1, 3)
    assert draw(EstKnobs(heads=0.5), shape, 2, seed=0, step=0)[0].heads_scale == 5 / 3


def test_the_ablation_leaves_the_scales_at_one() -> None:
    gate = draw(EstKnobs(inverse_scale=False), FOUR, 1, seed=0, step=0)[0]
    assert (gate.heads_scale, gate.neurons_scale) == (1.0, 1.0)


@pytest.mark.parametrize("part", ["heads", "neurons"])
def test_every_subset_of_a_layer_is_equally_likely(part: str) -> None:
    drawn = Counter(
        listed(getattr(gate, part))
        for step in range(700)
        for gate in draw(EstKnobs(heads=0.5, mlp=0.25), FOUR, 2, seed=11, step=step)
    )
    units, count = (4, 2) if part == "heads" else (8, 2)
    every = [drawn[subset] for subset in combinations(range(units), count)]
    assert sum(every) == 2800
    assert chisquare(every).pvalue > 0.001


def test_every_subset_of_layers_is_equally_likely() -> None:
    steps = (draw(EstKnobs(), FOUR, 1, seed=12, step=step) for step in range(1200))
    drawn = Counter(tuple(i for i, gate in enumerate(gates) if gate.runs) for gates in steps)
    assert chisquare([drawn[subset] for subset in combinations(range(4), 2)]).pvalue > 0.001


def test_a_bernoulli_draw_keeps_each_layer_by_its_own_chance() -> None:
    knobs = EstKnobs(layers=0.3, layer_draw="bernoulli")
    steps = [[gate.runs for gate in draw(knobs, FOUR, 1, seed=3, step=step)] for step in range(1500)]
    kept = Counter(sum(runs) for runs in steps)
    binomial = [0.2401, 0.4116, 0.2646, 0.0756, 0.0081]
    assert chisquare([kept[n] for n in range(5)], [1500 * share for share in binomial]).pvalue > 0.001


def test_layers_differ_in_their_draw_unless_it_is_shared() -> None:
    own, shared = (draw(EstKnobs(shared_draw=flag), NANO["gpt2"], 2, seed=0, step=1) for flag in (False, True))
    assert listed(own[0].neurons) != listed(own[1].neurons)
    assert listed(shared[0].neurons) == listed(shared[1].neurons)
    assert listed(shared[0].heads) == listed(shared[1].heads)


def test_pinned_ends_always_run_and_are_not_scaled() -> None:
    knobs = EstKnobs(pin_ends=True, layers=0.75, layer_scale="inverse")
    for step in range(20):
        gates = draw(knobs, FOUR, 1, seed=0, step=step)
        assert [gates[0].runs, gates[3].runs, gates[1].runs + gates[2].runs] == [True, True, 1]
        assert [gate.layer_scale for gate in gates] == [1.0, 2.0, 2.0, 1.0]


def test_grouped_queries_lose_equally_many_heads_and_no_keys() -> None:
    shape = Shape("llama", layers=2, width=64, heads=8, kv_heads=2, mlp=8, vocab=64, context=32, tied=False)
    for gate in draw(EstKnobs(), shape, 2, seed=0, step=0):
        assert gate.groups is None
        assert Counter(head // 4 for head in listed(gate.heads)) == {0: 2, 1: 2}


def test_whole_groups_take_their_keys_and_all_their_queries_along() -> None:
    for gate in draw(EstKnobs(grouped="whole"), NANO["llama"], 2, seed=0, step=0):
        (group,) = listed(gate.groups)
        assert listed(gate.heads) == (2 * group, 2 * group + 1)


def shown(gates: Sequence[Gate]) -> list[Any]:
    return [(listed(gate.heads), listed(gate.neurons), gate.runs) for gate in gates]


def test_seed_and_step_alone_decide_the_subnetwork() -> None:
    first = shown(draw(EstKnobs(), FOUR, 1, seed=5, step=9))
    torch.manual_seed(1)
    assert shown(draw(EstKnobs(), FOUR, 1, seed=5, step=9)) == first
    assert shown(draw(EstKnobs(), FOUR, 1, seed=5, step=10)) != first
    assert shown(draw(EstKnobs(), FOUR, 1, seed=6, step=9)) != first


CASES = [(family, stage, grouped) for family in NANO for stage in (1, 2, 3) for grouped in ("equal", "whole")]


@pytest.mark.parametrize(("family", "stage", "grouped"), CASES)
def test_executed_flops_are_the_closed_form(family: str, stage: int, grouped: str) -> None:
    knobs, shape = EstKnobs.model_validate({"grouped": grouped}), NANO[family]
    model = opened(build(shape), draw(knobs, shape, stage, seed=0, step=0))
    with counted() as counter:
        learnt(model)
    (planned,) = stages(knobs.model_copy(update={"stage1": stage == 1, "stage2": stage == 2}), shape, 32)
    assert counter.get_total_flops() == pytest.approx(2 * 32 * planned.flops_per_token, rel=0.01)


@pytest.mark.parametrize("change", [{"model": {"preset": "llama-nano"}}, {"precision": "bf16"}, {"micro_batches": 2}])
def test_the_forecast_is_what_was_counted_whatever_the_run(change: dict[str, Any], bench: Workbench) -> None:
    spec = bench.spec("est", EstKnobs(stage1=0.5, stage2=0.25), **change)
    assert bench.train(spec).executed() == pytest.approx(spec.train_flops(), rel=0.01)


CHOICES = [
    {"layer_draw": "bernoulli", "layers": 0.2},
    {"layer_scale": "inverse"},
    {"shared_draw": True},
    {"pin_ends": True},
    {"grouped": "whole"},
    {"inverse_scale": False},
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_open_choice_trains_and_says_what_was_active(choice: dict[str, Any], bench: Workbench) -> None:
    knobs = EstKnobs.model_validate({"stage1": 1, "stage2": 0, **choice})
    run = bench.train(bench.spec("est", knobs, model={"preset": "llama-nano"}))
    noted = sum(share for _, share in run.series("method/active_share"))
    shape = bench.spec(model={"preset": "llama-nano"}).shape
    executed = 4 * 32 * (noted * shape.block_train_flops(32) + 20 * shape.head_train_flops)
    assert run.executed() == pytest.approx(executed, rel=0.01)


def test_the_profiler_sees_the_matrix_products_of_the_closed_form() -> None:
    shape = NANO["gpt2"]
    model = opened(build(shape), draw(EstKnobs(), shape, 2, seed=0, step=0))
    with profile(with_flops=True) as profiler:
        learnt(model)
    seen = sum(event.flops for event in profiler.key_averages() if event.key in ("aten::mm", "aten::addmm"))
    scores = 64 * 7 * shape.layers * shape.score_macs(32) / 2
    planned = block_flops(shape, 32, active(EstKnobs(), shape, 2)) + shape.head_train_flops
    assert seen == pytest.approx(64 * planned - scores, rel=0.01)


def planned(knobs: EstKnobs, preset: str, context: int) -> models.Savings:
    shape = models.PRESETS[preset]
    spent = sum(stage.share * stage.flops_per_token for stage in stages(knobs, shape, context))
    return models.savings(shape, context, spent)


def test_the_preset_for_gpt2_matches_the_published_saving_of_the_blocks_and_less_with_the_head() -> None:
    saved = planned(PRESETS["est-gpt2"], "gpt2", 1024)
    assert saved.blocks == pytest.approx(4 / 15)
    assert saved.total == pytest.approx(0.194, abs=0.005)


def test_the_preset_for_tinyllama_matches_the_published_saving_up_to_the_keys_it_keeps() -> None:
    preset = PRESETS["est-tinyllama"]
    whole_groups = planned(preset.model_copy(update={"grouped": "whole"}), "tinyllama-1.1b", 2048)
    assert whole_groups.blocks == pytest.approx(1 / 4)
    assert 0.245 < planned(preset, "tinyllama-1.1b", 2048).blocks < 0.25
