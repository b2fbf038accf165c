"""The loop and the lab: budgets, precision, divergence, storage by name."""

from __future__ import annotations

import pytest
import torch

from tests.training.workbench import Memory, Workbench
from training.lab import Diverged
from training.loop import Until


def test_a_budget_in_flops_stops_at_its_limit(bench: Workbench) -> None:
    spec = bench.spec(budget={"flops": 3e9})
    executed = bench.train(spec).executed()
    assert 3e9 <= executed < 3e9 + spec.flops_per_step()


def test_a_budget_in_tokens_stops_at_its_limit(bench: Workbench) -> None:
    done = bench.train(bench.spec(budget={"tokens": 1000}))
    assert done.series("train/loss")[-1][0] == 8


def test_a_share_of_a_budget_is_a_budget() -> None:
    assert Until(steps=100, flops=1e6).share(0.3) == Until(steps=30, flops=3e5)


def test_training_lowers_the_loss(bench: Workbench) -> None:
    done = bench.train(bench.spec(budget={"steps": 120}))
    (_, first), (_, last) = done.series("train/loss")[0], done.series("val/loss")[-1]
    assert last < first - 0.8


def test_bf16_learns_like_fp32(bench: Workbench) -> None:
    full = bench.train(bench.spec(budget={"steps": 60})).series("val/loss")[-1][1]
    half = bench.train(bench.spec(budget={"steps": 60}, precision="bf16")).series("val/loss")[-1][1]
    assert half == pytest.approx(full, abs=0.05)
    assert half != full


def test_compiled_training_learns_like_eager(bench: Workbench) -> None:
    eager = bench.train(bench.spec(budget={"steps": 10}))
    compiled = bench.train(bench.spec(budget={"steps": 10}, compile=True))
    assert compiled.series("val/loss")[-1][1] == pytest.approx(eager.series("val/loss")[-1][1], abs=1e-3)
    assert compiled.executed() == eager.executed()


def test_a_loss_that_is_not_finite_ends_the_run(bench: Workbench) -> None:
    lab = bench.lab(bench.spec())
    model = lab.build()
    next(model.parameters()).data[0, 0] = float("nan")
    with pytest.raises(Diverged, match="lower the learning rate"):
        lab.fit("train", lab.learner(model), until=lab.budget)


def test_a_phase_name_is_used_once(bench: Workbench) -> None:
    lab = bench.lab(bench.spec())
    lab.fit("train", lab.learner(lab.build()), until=Until(steps=1))
    with pytest.raises(ValueError, match="used twice"):
        lab.fit("train", lab.learner(lab.build()), until=Until(steps=1))


def test_what_is_kept_is_made_once(bench: Workbench) -> None:
    memory = Memory()
    first = bench.lab(bench.spec(), memory).keep("mask", lambda: torch.arange(3))
    again = bench.lab(bench.spec(), memory).keep("mask", lambda: torch.zeros(3))
    assert torch.equal(first, again)


def test_a_finished_phase_is_loaded_not_repeated(bench: Workbench) -> None:
    memory = Memory()
    for expected in (5, 0):
        memory.pulses = 0
        lab = bench.lab(bench.spec(), memory)
        lab.fit("train", lab.learner(lab.build()), until=Until(steps=5))
        assert memory.pulses == expected
