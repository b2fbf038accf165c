"""What every method must keep, run over the catalogue: a new method is held to it by being there."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import torch

import training
from tests.training.workbench import Workbench
from training import assembly, catalog
from training.composition import clash
from training.records import Purpose
from training.spec import RunSpec

METHODS = catalog.names()
CASES = [(name, task) for name in METHODS for task in catalog.card(name).tasks if task in catalog.tasks()]
"""Every method on every task that it is for."""
PAIRS = [
    (first, second, task)
    for first, second in combinations([name for name in METHODS if name != "dense"], 2)
    if not clash(first, second)
    for task in catalog.tasks()
    if {task} <= {*catalog.card(first).tasks} & {*catalog.card(second).tasks}
]
"""Every two methods that may share a run, on every task that both are for."""
CORE = [path for path in Path(training.__file__).parent.rglob("*.py") if not {"methods", "studies"} & {*path.parts}]
MAKING = (Purpose.TRAIN, Purpose.SOURCE)
"""What the steps of a phase are booked as."""


@pytest.mark.parametrize("name", METHODS)
def test_a_card_is_complete(name: str) -> None:
    card = catalog.card(name)
    assert card.title
    assert card.family
    assert card.tasks
    assert set(card.tasks) <= set(catalog.tasks()), f"{name} is for a task that is not there"
    assert len(card.text) > 40
    assert all(field.title and field.description for field in card.knobs.model_fields.values())
    assert name == "dense" or (card.paper.startswith("https://") and card.claims)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_does_something(name: str) -> None:
    functions = ("run", "transform", "until", "attach", "finish")
    offered = [function for function in functions if callable(getattr(catalog.load(name), function, None))]
    assert offered, f"method.py of {name} has none of {', '.join(functions)}: it would train as dense"
    assert ("run" in offered) == ("phases" in catalog.card(name).owns or name == "dense")


@pytest.mark.parametrize("name", METHODS)
def test_a_card_loads_no_torch(name: str) -> None:
    code = f"import sys, training.methods.{name}.card; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "task"), CASES)
def test_default_knobs_survive_the_trip_through_json(name: str, task: str) -> None:
    spec = RunSpec.model_validate({"task": task, "methods": [name]})
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.knobs[name] == catalog.card(name).knobs()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_leaving_out_defaults_loses_nothing(name: str, task: str) -> None:
    spec = RunSpec.model_validate({"task": task, "methods": [name]})
    assert RunSpec.model_validate(spec.model_dump(mode="json", exclude_defaults=True)).digest() == spec.digest()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_stages_stay_within_the_run(name: str, task: str) -> None:
    stages = RunSpec.model_validate({"task": task, "methods": [name]}).stages()
    assert 0 < sum(stage.share for stage in stages) <= 1 + 1e-9


@pytest.mark.parametrize(("name", "task"), CASES)
def test_twenty_steps_run_cost_and_predict(name: str, task: str, bench: Workbench) -> None:
    done = bench.train(bench.spec(name, task=task))
    phases = {point.phase for point in done.memory.points}
    assert phases
    assert phases == {phase for phase, purpose in done.lab.ledger.lines if purpose in MAKING}
    assert all(line.executed > 0 for line in done.lab.ledger.lines.values())
    assert all(score.value == score.value for score in done.lab.score(done.outcome))


@pytest.mark.parametrize(("name", "task"), CASES)
def test_the_forecast_is_what_was_counted(name: str, task: str, bench: Workbench) -> None:
    spec = bench.spec(name, task=task, budget={"steps": 60})
    counted, forecast = bench.train(spec).training(), spec.train_flops()
    hint = "does the method act, does `Learner.signature` tell the live part, do `stages` say what it executes?"
    assert counted == pytest.approx(forecast, rel=0.01), f"counted ÷ forecast = {counted / forecast:.3f}: {hint}"


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("limit", ["steps", "tokens", "flops"])
def test_interruption_changes_nothing(name: str, task: str, limit: str, bench: Workbench) -> None:
    spec = bench.spec(name, task=task, budget={"steps": 40})
    budget = {"steps": 40, "tokens": 40 * spec.tokens_per_step, "flops": spec.train_flops()}[limit]
    spec = bench.spec(name, task=task, budget={limit: budget})
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=7)
    assert torn.attempts > 3
    assert smooth.weights().keys() == torn.weights().keys()
    assert all(torch.equal(weight, torn.weights()[key]) for key, weight in smooth.weights().items())
    for series in ("train/loss", "val/loss"):
        assert smooth.series(series) == torn.series(series)
    assert smooth.training() == torn.training()


@pytest.mark.parametrize(("first", "second", "task"), PAIRS)
def test_two_that_share_a_run_survive_interruption(first: str, second: str, task: str, bench: Workbench) -> None:
    spec = bench.spec(task=task, methods=[first, second])
    smooth, torn = bench.train(spec), bench.train(spec, stop_every=7)
    assert torn.attempts > 1
    assert all(torch.equal(weight, torn.weights()[key]) for key, weight in smooth.weights().items())
    assert smooth.series("val/loss") == torn.series("val/loss")
    assert smooth.training() == torn.training()


@pytest.mark.parametrize(("first", "second", "task"), PAIRS)
def test_the_order_of_two_methods_changes_no_cost(first: str, second: str, task: str, bench: Workbench) -> None:
    one, other = (bench.train(bench.spec(task=task, methods=list(pair))) for pair in ((first, second), (second, first)))
    assert one.training() == other.training()


@pytest.mark.parametrize(("name", "task"), CASES)
def test_seeds_differ_and_repeat(name: str, task: str, bench: Workbench) -> None:
    spec = bench.spec(name, task=task)
    first, again, other = (bench.train(spec, seed=seed).series("val/loss") for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_seed_starts_every_method_from_the_same_weights(name: str, task: str, bench: Workbench) -> None:
    dense = bench.lab(bench.spec("dense", task=task), seed=3).build().state_dict()
    lab = bench.lab(bench.spec(name, task=task), seed=3)
    lab.parts = assembly.parts(lab.spec)
    method = lab.build().state_dict()
    assert all(torch.equal(weight, method[key]) for key, weight in dense.items())


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dense"])
def test_the_core_does_not_know_a_method_by_name(name: str) -> None:
    for path in CORE:
        words = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        words |= {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert name not in words, path.name
