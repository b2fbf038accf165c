"""Counted FLOPs against closed forms; counting once and replaying is the same as counting."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.training.workbench import Workbench
from training.flops import counted
from training.ledger import Discount, Ledger
from training.models.build import build
from training.models.shape import PRESETS, gpt2, llama
from training.records import Purpose

SHAPES = {
    "gpt2-tiny": PRESETS["gpt2-tiny"],
    "llama-tiny": PRESETS["llama-tiny"],
    "gpt2, two layers": gpt2(2, 768, 12, vocab=50257, context=256),
    "tinyllama-1.1b, one layer": llama(1, 2048, 32, 4, 5632, vocab=32000, context=256),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_dense_step_costs_its_closed_form(name: str) -> None:
    shape, context = SHAPES[name], 128
    model, tokens = build(shape), torch.zeros(2, context, dtype=torch.int64)
    with counted() as counter:
        F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()  # type: ignore[no-untyped-call]
    assert counter.get_total_flops() == pytest.approx(tokens.numel() * shape.train_flops(context), rel=0.01)


def test_fused_attention_is_counted_like_its_products() -> None:
    query, key, value = (torch.randn(2, 4, 64, 16) for _ in range(3))
    with counted() as counter:
        F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert counter.get_total_flops() == 2 * 2 * (2 * 4 * 64 * 64 * 16)


def test_effective_flops_stand_beside_executed_ones() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    with ledger.step("train", "k", Discount(density=0.5, bits=16)) as cost:
        _ = a @ a
    line = ledger.lines["train", Purpose.TRAIN]
    assert (line.executed, line.effective) == (1024, 256)
    assert cost == {Purpose.TRAIN: 1024}


def test_a_known_step_is_replayed_at_its_price() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    for _ in range(3):
        with ledger.step("train", "k", Discount()):
            _ = a @ a
    assert ledger.lines["train", Purpose.TRAIN].executed == 3 * 1024


def test_another_signature_is_counted_anew() -> None:
    ledger = Ledger()
    for width in (8, 4):
        with ledger.step("train", str(width), Discount()):
            _ = torch.randn(8, width) @ torch.randn(width, 8)
    assert ledger.lines["train", Purpose.TRAIN].executed == 1024 + 512


def test_a_named_part_of_a_step_is_booked_apart() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    for _ in range(2):
        with ledger.step("train", "k", Discount()):
            with ledger.within(Purpose.ATTACK):
                _ = a @ a
            _ = a @ a @ a
    lines = ledger.lines
    assert lines["train", Purpose.ATTACK].executed == 2 * 1024
    assert lines["train", Purpose.TRAIN].executed == 4 * 1024


def test_evaluation_is_no_part_of_the_training_cost(bench: Workbench) -> None:
    done = bench.train(bench.spec())
    assert done.executed(Purpose.EVAL) > 0
    assert done.lab.ledger.training[0] == done.executed(Purpose.TRAIN)


def test_micro_batches_cost_the_same_flops(bench: Workbench) -> None:
    whole, parts = bench.train(bench.spec()), bench.train(bench.spec(micro_batches=4))
    assert whole.executed() == pytest.approx(parts.executed(), rel=1e-9)


def test_micro_batches_learn_the_same(bench: Workbench) -> None:
    whole, parts = bench.train(bench.spec()), bench.train(bench.spec(micro_batches=4))
    assert whole.series("val/loss")[-1][1] == pytest.approx(parts.series("val/loss")[-1][1], abs=1e-3)


def test_the_bill_survives_a_resume(bench: Workbench) -> None:
    smooth, torn = bench.train(bench.spec()), bench.train(bench.spec(), stop_every=3)
    for key, line in smooth.lab.ledger.lines.items():
        assert torn.lab.ledger.lines[key].executed == line.executed
        assert torn.lab.ledger.lines[key].tokens == line.tokens
