"""Counted FLOPs against closed forms; counting once and replaying is the same as counting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.training.workbench import Workbench
from training import catalog
from training.flops import MISSING, aten, counted, formulas, kind
from training.ledger import Ledger
from training.loop import Batch, Hook, Loop
from training.models.build import build
from training.models.shape import PRESETS, gpt2, llama
from training.records import EFFECTIVE_SO_FAR, Purpose

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
    with ledger.step("train", "k", lambda: 0.25) as cost:
        _ = a @ a
    line = ledger.lines["train", Purpose.TRAIN]
    assert (line.executed, line.effective) == (1024, 256)
    assert cost == {Purpose.TRAIN: 1024}


def test_a_known_step_is_replayed_at_its_price() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    for _ in range(3):
        with ledger.step("train", "k"):
            _ = a @ a
    assert ledger.lines["train", Purpose.TRAIN].executed == 3 * 1024


def test_another_signature_is_counted_anew() -> None:
    ledger = Ledger()
    for width in (8, 4):
        with ledger.step("train", str(width)):
            _ = torch.randn(8, width) @ torch.randn(width, 8)
    assert ledger.lines["train", Purpose.TRAIN].executed == 1024 + 512


def test_a_named_part_of_a_step_is_booked_apart() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    for _ in range(2):
        with ledger.step("train", "k"):
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


class Extra(Hook):
    """A planted forward pass that nobody declared."""

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self.forward(loop, batch)
        return batch

    def forward(self, loop: Loop, batch: Batch) -> None:
        with torch.no_grad():
            loop.loss(batch)


class ExtraAfter(Extra):
    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self.batch = batch
        return batch

    def after_step(self, loop: Loop) -> None:
        self.forward(loop, self.batch)


class Scoring(Extra):
    """The same, declared as a selection."""

    def forward(self, loop: Loop, batch: Batch) -> None:
        with loop.lab.ledger.spend(loop.phase, Purpose.SELECT):
            super().forward(loop, batch)


def fitted(bench: Workbench, *hooks: Hook) -> Ledger:
    lab = bench.lab(bench.spec())
    lab.fit("train", lab.learner(lab.build()), until=lab.budget, hooks=hooks)
    return lab.ledger


@pytest.mark.parametrize("hook", [Extra, ExtraAfter])
def test_a_forward_pass_planted_in_a_hook_shows_in_the_count_and_beside_the_closed_form(
    bench: Workbench, hook: type[Hook]
) -> None:
    spec, line = bench.spec(), fitted(bench, hook()).lines["train", Purpose.TRAIN]
    assert line.executed / fitted(bench).lines["train", Purpose.TRAIN].executed == pytest.approx(4 / 3, rel=0.01)
    assert line.executed / line.tokens / spec.flops_per_token() - 1 > 0.3


def test_a_declared_pass_of_a_hook_is_booked_once_and_not_as_training(bench: Workbench) -> None:
    plain, scoring = fitted(bench), fitted(bench, Scoring())
    assert scoring.lines["train", Purpose.TRAIN].executed == plain.lines["train", Purpose.TRAIN].executed
    forward = plain.lines["train", Purpose.TRAIN].executed / 3
    assert scoring.lines["train", Purpose.SELECT].executed == pytest.approx(forward, rel=0.01)


def test_a_booking_inside_a_step_is_taken_out_of_it() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    for _ in range(2):
        with ledger.step("train", "k"):
            _ = a @ a
            with ledger.spend("train", Purpose.SELECT):
                _ = a @ a @ a
    assert ledger.lines["train", Purpose.TRAIN].executed == 2 * 1024
    assert ledger.lines["train", Purpose.SELECT].executed == 2 * 2048


def test_a_second_of_a_booking_inside_a_booking_is_booked_once() -> None:
    ledger = Ledger()
    start = time.perf_counter()
    with ledger.spend("train", Purpose.GROW), ledger.spend("train", Purpose.SELECT):
        time.sleep(0.05)
    passed = time.perf_counter() - start
    assert sum(line.wall_seconds for line in ledger.lines.values()) == pytest.approx(passed, abs=0.01)


def test_what_runs_without_a_formula_is_listed_with_its_calls() -> None:
    ledger, a = Ledger(), torch.randn(8, 8)
    with ledger.step("train", "k"):
        _ = (a @ a).relu().relu()
    (relu,) = [operator for operator in ledger.uncounted if operator.operator == "aten.relu"]
    assert (relu.calls, relu.elements, relu.kind, relu.part) == (2, 128, "elementwise", "step")


def test_the_list_survives_a_resume(bench: Workbench) -> None:
    smooth, torn = bench.train(bench.spec()), bench.train(bench.spec(), stop_every=3)
    assert set(torn.lab.ledger.uncounted) == set(smooth.lab.ledger.uncounted)


def test_no_product_of_a_training_step_lacks_a_formula(bench: Workbench) -> None:
    for preset in ("gpt2-nano", "llama-tiny"):
        done = bench.train(bench.spec(model={"preset": preset}, budget={"steps": 2}))
        assert [operator for operator in done.lab.ledger.uncounted if operator.kind == "product"] == []


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (aten.view, "free"),
        (aten.t, "free"),
        (aten._unsafe_view, "free"),
        (aten.empty, "free"),
        (aten.mul, "elementwise"),
        (aten.add_, "elementwise"),
        (aten.sum, "other"),
        (aten.embedding, "other"),
        (aten._grouped_mm, "product"),
        (aten._cudnn_rnn, "product"),
    ],
)
def test_an_operator_is_free_only_if_it_moves_no_number(operator: Any, expected: str) -> None:
    assert kind(operator) == expected


def test_the_gates_of_a_recurrent_cell_are_no_product_but_the_whole_of_it_is() -> None:
    assert [kind(cell) for cell in (aten._thnn_fused_lstm_cell, aten._thnn_fused_gru_cell)] == ["other", "other"]
    assert [kind(cell) for cell in (aten.lstm, aten.gru)] == ["product", "product"]


@pytest.mark.parametrize("way", ["flash", "efficient", "cudnn", "fused", "flash_for_cpu"])
@pytest.mark.parametrize("direction", ["", "_backward"])
def test_every_fused_attention_kernel_has_a_formula(way: str, direction: str) -> None:
    full = {"fused": "fused_attention_overrideable", "flash_for_cpu": "flash_attention_for_cpu"}
    assert f"aten._scaled_dot_product_{full.get(way, f'{way}_attention')}{direction}" in formulas()


A, B, V, BATCH = torch.randn(4, 6), torch.randn(6, 5), torch.randn(6), torch.randn(3, 4, 6)
PRODUCTS: dict[Any, tuple[Callable[[], Any], int]] = {
    aten.mv: (lambda: A.mv(V), 2 * 4 * 6),
    aten.dot: (lambda: V.dot(V), 2 * 6),
    aten.vdot: (lambda: torch.vdot(V, V), 2 * 6),
    aten._int_mm: (lambda: torch._int_mm(torch.ones(32, 8).char(), torch.ones(8, 16).char()), 2 * 32 * 8 * 16),
    aten.addmv: (lambda: torch.addmv(torch.randn(4), A, V), 2 * 4 * 6),
    aten.addmv_: (lambda: torch.randn(4).addmv_(A, V), 2 * 4 * 6),
    aten.addmm_: (lambda: torch.randn(4, 5).addmm_(A, B), 2 * 4 * 6 * 5),
    aten.addbmm: (lambda: torch.addbmm(torch.randn(4, 5), BATCH, B.expand(3, 6, 5)), 2 * 3 * 4 * 6 * 5),
    aten.addbmm_: (lambda: torch.randn(4, 5).addbmm_(BATCH, B.expand(3, 6, 5)), 2 * 3 * 4 * 6 * 5),
    aten.baddbmm_: (lambda: torch.randn(3, 4, 5).baddbmm_(BATCH, B.expand(3, 6, 5)), 2 * 3 * 4 * 6 * 5),
    aten._addmm_activation: (lambda: torch._addmm_activation(torch.randn(5), A, B), 2 * 4 * 6 * 5),
}


@pytest.mark.parametrize("operator", PRODUCTS, ids=str)
def test_a_product_that_torch_forgets_costs_two_per_multiply_add(operator: Any) -> None:
    make, expected = PRODUCTS[operator]
    with counted() as counter:
        make()
    assert operator in MISSING
    assert counter.get_total_flops() == expected


def test_effective_flops_so_far_are_told_at_every_evaluation_where_they_differ(bench: Workbench) -> None:
    """A share that changes during a phase cannot be had from the bill, which has one line for all of it."""
    knobs = catalog.card("fractrain").knobs.model_validate({"mode": "pfq"})
    run = bench.train(bench.spec("fractrain", knobs, task="image_classification"))
    told, executed = dict(run.series(EFFECTIVE_SO_FAR)), run.lab.ledger.training[0]
    assert list(told) == [step for step, _ in run.series("val/loss")]
    assert list(told.values())[-1] == run.lab.ledger.effective < executed
    assert bench.train(bench.spec()).series(EFFECTIVE_SO_FAR) == []
