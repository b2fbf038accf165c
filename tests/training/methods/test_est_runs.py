"""What a run with evolving subnetworks keeps: parameters, optimiser states, notes, budgets."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch

from tests.training.workbench import Workbench
from training.loop import Batch, Hook, Loop
from training.methods.est.card import EstKnobs
from training.methods.est.method import Evolve
from training.models.surgery import Gate, gated


class Witness(Hook):
    """Remembers weights and optimiser state after each step and compares them before the next."""

    def __init__(self) -> None:
        self.seen: Any = None
        self.stages: list[float] = []

    def state(self, loop: Loop) -> Any:
        return copy.deepcopy((loop.learner.model.state_dict(), loop.learner.optimizer.state_dict()["state"]))

    def before_step(self, loop: Loop, batch: Batch) -> Batch:
        self.stages.append(loop.notes["stage"])
        if self.seen is not None:
            torch.testing.assert_close(self.state(loop), self.seen, atol=0, rtol=0)
        return batch

    def after_step(self, loop: Loop) -> None:
        self.seen = self.state(loop)


def test_a_stage_switch_changes_no_parameter_and_no_optimiser_state(bench: Workbench) -> None:
    spec = bench.spec("est", EstKnobs(stage1=0.4, stage2=0.4), budget={"steps": 10})
    lab, witness = bench.lab(spec), Witness()
    model = lab.build()
    evolve = Evolve(model, EstKnobs(stage1=0.4, stage2=0.4), spec, seed=0, steps=10)
    lab.fit("train", lab.learner(model), until=lab.budget, hooks=[evolve, witness])
    assert witness.stages == [1] * 4 + [2] * 4 + [3] * 2


def test_every_step_moves_all_layers_also_those_left_out(bench: Workbench) -> None:
    """Inactive slices are moved by momentum; a layer left out must be, too."""
    spec = bench.spec("est", EstKnobs(stage1=1, stage2=0, layers=0.5), budget={"steps": 4})
    lab = bench.lab(spec)
    model = lab.build()
    evolve = Evolve(model, EstKnobs(stage1=1, stage2=0, layers=0.5), spec, seed=0, steps=4)
    learner = lab.learner(model)
    lab.fit("train", learner, until=lab.budget, hooks=[evolve])
    assert {int(state["step"]) for state in learner.optimizer.state.values()} == {4}
    assert len(learner.optimizer.state) == len(list(model.parameters()))


def test_micro_batches_of_a_step_share_its_subnetwork(bench: Workbench) -> None:
    whole, cut = (bench.train(bench.spec("est", micro_batches=n)).series("train/loss") for n in (1, 4))
    assert [value for _, value in cut] == pytest.approx([value for _, value in whole], abs=1e-4)


def test_a_run_notes_its_stage_and_active_share(bench: Workbench) -> None:
    run = bench.train(bench.spec("est", EstKnobs(stage1=0.5, stage2=0.25)))
    shares = [value for _, value in run.series("method/active_share")]
    assert shares == pytest.approx([0.25] * 10 + [0.5] * 5 + [1.0] * 5)
    assert [value for _, value in run.series("method/stage")] == [1.0] * 10 + [2.0] * 5 + [3.0] * 5


def test_a_budget_in_flops_is_divided_by_shares_of_the_steps(bench: Workbench) -> None:
    flops = bench.spec("est", budget={"steps": 60}).train_flops()
    stages_seen = bench.train(bench.spec("est", budget={"flops": flops})).series("method/stage")
    assert Counter(value for _, value in stages_seen) == {1.0: 10, 2.0: 15, 3.0: 35}


def test_the_finished_model_has_all_gates_open(bench: Workbench) -> None:
    run = bench.train(bench.spec("est", EstKnobs(stage1=1, stage2=0)))
    assert all(layer.gate == Gate() for layer in gated(run.outcome.model))
