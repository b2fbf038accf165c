"""The method: trees, leaves, budgets, what is noted and billed. The operator has a file of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.workbench import Trained, Workbench
from training import assembly, catalog
from training.methods.deep_fusion.card import DeepFusionKnobs, narrowed, refuses, shape_of, shares, tree
from training.methods.deep_fusion.method import totals
from training.models.shape import PRESETS
from training.records import Purpose
from training.spec import RunSpec
from training.tasks.language_modelling.task import LanguageModelling


def test_a_tree_has_its_nodes_and_their_shares() -> None:
    names = [node.name for node in tree(DeepFusionKnobs(levels=2))]
    assert names == ["leaf-1", "leaf-2", "leaf-3", "leaf-4", "level1-1", "level1-2", "fused"]
    assert shares(DeepFusionKnobs(levels=2)) == pytest.approx([1 / 7] * 7)
    assert [node.parts for node in tree(DeepFusionKnobs(levels=2))][4:] == [
        ("leaf-1", "leaf-2"), ("leaf-3", "leaf-4"), ("level1-1", "level1-2"),
    ]  # fmt: skip
    knobs = DeepFusionKnobs(levels=2, self_fusion=True, leaf_steps=0.75)
    assert [(node.name, node.parts) for node in tree(knobs)] == [
        ("leaf-1", ()), ("level1-1", ("leaf-1",)), ("fused", ("level1-1",)),
    ]  # fmt: skip
    assert shares(knobs) == pytest.approx([0.3, 0.3, 0.4])
    widths = [shape_of(node, knobs, PRESETS["gpt2-tiny"]).width for node in tree(knobs)]
    assert widths == [32, 64, 128]


def test_widths_that_do_not_divide_are_refused(bench: Workbench) -> None:
    assert "kv_heads 2" in refuses(DeepFusionKnobs(nets=4), bench.spec(model={"preset": "llama-nano"}))
    assert "3 leaves" in refuses(DeepFusionKnobs(nets=3), bench.spec())
    assert "7 networks" in refuses(DeepFusionKnobs(levels=2), bench.spec(budget={"steps": 6}))
    assert not refuses(DeepFusionKnobs(levels=2), bench.spec())


def fusing(bench: Workbench, *, task: str = "language_modelling", steps: int = 30, **knobs: Any) -> Trained:
    spec = bench.spec("deep_fusion", DeepFusionKnobs(**knobs), task=task, budget={"steps": steps}, batch_size=8)
    return bench.train(spec)


def noted(done: Trained, name: str) -> float:
    return done.series(f"method/{name}")[-1][1]


@pytest.mark.parametrize("task", ["language_modelling", "span_corruption"])
def test_at_the_fusion_a_trained_leaf_keeps_its_loss_in_self_fusion(task: str, bench: Workbench) -> None:
    exact = fusing(bench, task=task, self_fusion=True, noise=0.0)
    noisy = fusing(bench, task=task, self_fusion=True)
    for done, close in ((exact, 1e-5), (noisy, 1e-3)):
        assert noted(done, "loss_at_fusion") == pytest.approx(noted(done, "loss_of_parts"), abs=close)
    assert noted(exact, "deviation") < 1e-4 < noted(exact, "logit_size")


@pytest.mark.parametrize("task", ["language_modelling", "span_corruption"])
def test_at_the_fusion_grouped_norms_lose_nothing_on_average(task: str, bench: Workbench) -> None:
    grouped, joint = fusing(bench, task=task, norm="grouped"), fusing(bench, task=task)
    assert noted(grouped, "deviation") < 1e-4
    assert noted(grouped, "loss_at_fusion") <= noted(grouped, "loss_of_parts") + 1e-6
    assert noted(joint, "deviation") > 1e-3


@pytest.mark.parametrize("self_fusion", [False, True])
def test_three_totals_add_up(self_fusion: bool, bench: Workbench) -> None:
    knobs: dict[str, Any] = {"levels": 2, "self_fusion": self_fusion, "leaf_steps": 0.5}
    done = fusing(bench, **knobs)
    nodes = tree(DeepFusionKnobs(**knobs))
    found = totals(done.lab, nodes)
    lines = {phase: line for (phase, purpose), line in done.lab.ledger.lines.items() if purpose is Purpose.TRAIN}
    assert lines.keys() == {node.name for node in nodes}
    assert found.everything.flops == pytest.approx(sum(line.executed for line in lines.values()))
    assert found.everything.flops == pytest.approx(done.training())
    assert found.fused.flops == lines["fused"].executed
    path = [lines[name].executed for name in ("leaf-1", "level1-1", "fused")]
    assert found.path.flops == pytest.approx(sum(path))
    assert found.fused.seconds < found.path.seconds <= found.everything.seconds
    assert (found.path.flops == pytest.approx(found.everything.flops)) is self_fusion
    assert noted(done, "flops_critical_path") == pytest.approx(found.path.flops)
    assert len(done.outcome.notes) == 3


@pytest.mark.parametrize("limit", ["steps", "tokens", "flops"])
def test_a_budget_of_any_kind_is_divided_alike(limit: str, bench: Workbench) -> None:
    knobs = DeepFusionKnobs(leaf_steps=0.75)
    spec = bench.spec("deep_fusion", knobs, budget={"steps": 50})
    budget = {"steps": 50, "tokens": 50 * spec.tokens_per_step, "flops": spec.train_flops()}[limit]
    done = bench.train(bench.spec("deep_fusion", knobs, budget={limit: budget}))
    steps = {phase: line.examples // 4 for (phase, purpose), line in done.lab.ledger.lines.items() if line.examples}
    over = 1 if limit == "flops" else 0  # a phase ends with the step that reaches its limit
    assert all(0 <= steps[name] - planned <= over for name, planned in (("leaf-1", 15), ("leaf-2", 15), ("fused", 20)))


class Watched(LanguageModelling):
    """Remembers which examples were asked for."""

    seen: list[Tensor]

    def batch(self, index: Tensor) -> dict[str, Tensor]:
        self.seen.append(index)
        return super().batch(index)


def test_leaves_differ_in_weights_and_in_data(bench: Workbench) -> None:
    lab = bench.lab(bench.spec("deep_fusion", DeepFusionKnobs(leaf_steps=0.75)))
    task = Watched(lab.spec, bench.corpus(lab.spec.data), lab.device)
    lab.task, task.seen = task, []
    assembly.run(lab)
    assert len(task.seen) == 20 + 1  # and one to look at the fusion
    first, second = torch.stack(task.seen[:6]), torch.stack(task.seen[6:12])
    assert not torch.equal(first, second)
    weights = [lab.build(narrowed(lab.spec.shape, 2), name=f"build-leaf-{i}").state_dict() for i in (1, 2)]
    assert not torch.equal(*(found["embedding.weight"] for found in weights))


@pytest.mark.parametrize(
    "knobs",
    [{"levels": 2, "norm": "grouped"}, {"self_fusion": True, "off_diagonal": 0.1}],
    ids=["tree", "self-fusion"],
)
def test_interrupted_trees_end_alike(knobs: dict[str, Any], bench: Workbench) -> None:
    spec = bench.spec("deep_fusion", DeepFusionKnobs(**knobs), budget={"steps": 28})
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=3)
    assert torn.attempts > 5
    assert all(torch.equal(weight, torn.weights()[name]) for name, weight in smooth.weights().items())
    for series in ("method/deviation", "method/off_diagonal_share", "method/flops_critical_path", "val/loss"):
        assert smooth.series(series) == torn.series(series)
    assert smooth.training() == torn.training()


def test_the_gradient_off_the_diagonal_is_noted(bench: Workbench) -> None:
    done = fusing(bench)
    share = done.series("method/off_diagonal_share")
    assert len(share) == 10
    assert all(0 < value < 1 for _, value in share)
    assert noted(done, "off_diagonal_gradient") > 0


def test_a_fused_network_trains_on_and_beats_its_start(bench: Workbench) -> None:
    done = fusing(bench, steps=90)
    losses = [point.value for point in done.memory.points if point.name == "train/loss" and point.phase == "fused"]
    assert sum(losses[-5:]) / 5 < noted(done, "loss_at_fusion")


def test_a_method_that_narrows_a_network_narrows_leaves_too(bench: Workbench) -> None:
    alone = fusing(bench)
    both = bench.train(bench.spec("deep_fusion", methods=["deep_fusion", "est"], budget={"steps": 30}, batch_size=8))
    for phase in ("leaf-1", "leaf-2", "fused"):
        whole, narrow = (done.lab.ledger.line(phase, Purpose.TRAIN).executed for done in (alone, both))
        assert 0 < narrow < whole


def test_the_reproduction_compares_at_equal_flops() -> None:
    asked = catalog.card("deep_fusion").reproduction
    assert asked is not None
    arms = {arm.label: RunSpec.model_validate({**asked.spec, **arm.changes}) for arm in asked.arms if not arm.flops_of}
    assert arms["Fusion"].train_flops() == pytest.approx(arms["Dense"].train_flops(), rel=0.02)
    assert [arm.shape.width for arm in arms.values()] == [128] * 4
    assert {arm.label: arm.flops_of for arm in asked.arms}["Dense, FLOPs of self-fusion"] == "Self-fusion"
