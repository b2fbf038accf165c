"""What a method's page says of our measurement rests on named runs: means, digests and bars are held against them."""

from __future__ import annotations

import statistics
from math import sqrt

import pytest

from training import catalog
from training.evidence import Evidence, evidence, path, setting
from training.reproduction import Bar
from training.spec import RunSpec

MEASURED = [name for name in catalog.names() if path(name).exists()]


def of(name: str) -> Evidence:
    found = evidence(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.card(name).reproduction])
def test_a_reproduction_holds_the_method_against_both_dense_baselines(name: str) -> None:
    asked = catalog.card(name).reproduction
    assert asked is not None
    labels = [arm.label for arm in asked.arms]
    dense = [arm for arm in asked.arms if "methods" not in arm.changes]
    assert dense[0].label == labels[0]
    assert asked.judged in {arm.flops_of for arm in dense}
    assert len(set(asked.seeds)) >= 3
    assert asked.bars


@pytest.mark.parametrize("name", MEASURED)
def test_every_measured_arm_has_the_runs_it_rests_on(name: str) -> None:
    for arm in of(name).arms:
        losses = [run.loss for run in arm.runs]
        assert len({run.code for run in arm.runs}) == len({run.seed for run in arm.runs}) == len(arm.runs) >= 3
        assert arm.loss == pytest.approx(statistics.mean(losses))
        assert arm.stderr == pytest.approx(statistics.stdev(losses) / sqrt(len(losses)))
        assert arm.executed_flops == pytest.approx(statistics.mean(run.executed_flops for run in arm.runs))
        assert all(run.evaluations[-1][1] == pytest.approx(run.executed_flops, rel=0.02) for run in arm.runs)


@pytest.mark.parametrize("name", MEASURED)
def test_the_measured_arms_are_those_that_the_card_asks_for(name: str) -> None:
    found, asked = of(name), catalog.card(name).reproduction
    assert asked is not None
    assert [arm.label for arm in found.arms] == [arm.label for arm in asked.arms]
    assert all(arm.digest == arm.spec.digest() for arm in found.arms)
    assert all(RunSpec.model_validate({**arm.spec.model_dump(), **asked.spec, "budget": arm.spec.budget}) == arm.spec
               for arm in found.arms)  # fmt: skip
    assert all({run.seed for run in arm.runs} == set(asked.seeds) for arm in found.arms)


@pytest.mark.parametrize("name", MEASURED)
def test_the_bars_are_the_cards_and_are_judged_as_it_says(name: str) -> None:
    found, asked = of(name), catalog.card(name).reproduction
    assert asked is not None
    assert [bar.text for bar in found.bars] == [bar.text for bar in asked.bars]
    judged = [bar.passes(measured.value) for bar, measured in zip(asked.bars, found.bars, strict=True)]
    assert [bar.passed for bar in found.bars] == judged


@pytest.mark.parametrize("name", MEASURED)
def test_evidence_survives_the_trip_through_its_file(name: str) -> None:
    assert Evidence.model_validate_json(of(name).written()) == of(name)


def test_a_method_that_nobody_measured_has_no_evidence() -> None:
    assert evidence("dense") is None


@pytest.mark.parametrize(("value", "passes"), [(0.76, True), (0.7601, False)])
def test_a_bar_ends_where_its_limit_is(value: float, passes: bool) -> None:
    assert Bar("at most", lambda measured: value, at_most=0.76).passes(value) is passes


@pytest.mark.parametrize(("task", "unit"), [("language_modelling", "token"), ("image_classification", "image")])
def test_a_setting_counts_in_the_unit_of_its_task(task: str, unit: str) -> None:
    spec = RunSpec.model_validate({"task": task})
    words = setting(spec)
    assert f"M {unit}s" in words
    assert ("context" in words) is (unit == "token")
    assert spec.shape.summary in words
