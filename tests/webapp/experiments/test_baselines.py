"""Fair baselines: which arms a launch gets beside those that were asked for."""

from __future__ import annotations

from typing import Any

import pytest

from training.spec import RunSpec
from webapp.experiments.baselines import asked, completed, matched
from webapp.experiments.services import ArmRequest


def arm(label: str = "EST", method: str = "est", *, is_baseline: bool = False, **changes: Any) -> ArmRequest:
    spec = {"budget": {"steps": 300}} | changes
    return ArmRequest(label, RunSpec.model_validate(spec | {"methods": [method]}), is_baseline)


EST, DENSE = arm(), arm("Dense", "dense")
STEPS, FLOPS = "Dense, equal steps", "Dense, equal FLOPs (EST)"


def labels(arms: tuple[ArmRequest, ...]) -> list[str]:
    return [arm.label for arm in arms]


def test_a_method_gets_a_dense_arm_of_as_many_steps_and_one_of_as_many_flops() -> None:
    steps, flops = matched([EST])
    assert labels((steps, flops)) == [STEPS, FLOPS]
    assert (steps.spec.methods, steps.spec.steps()) == (("dense",), 300)
    assert flops.spec.budget.flops == EST.spec.train_flops()
    assert flops.spec.train_flops() == pytest.approx(EST.spec.train_flops(), rel=0.5 / flops.spec.steps())


def test_a_baseline_shares_everything_but_method_and_budget() -> None:
    ours = arm(batch_size=4, optim={"learning_rate": 0.01, "schedule": "wsd"}, evals=["probe"], data={"context": 64})
    rest = {"methods", "knobs", "budget"}
    assert {twin.spec.model_dump_json(exclude=rest) for twin in matched([ours])} == {
        ours.spec.model_dump_json(exclude=rest)
    }


def test_two_methods_of_as_many_steps_share_the_baseline_of_equal_steps() -> None:
    plain = arm("EST, unscaled", knobs={"est": {"inverse_scale": False, "heads": 0.25}})
    assert labels(matched([EST, plain])) == [STEPS, FLOPS, "Dense, equal FLOPs (EST, unscaled)"]


def test_two_methods_of_as_many_steps_and_flops_share_both() -> None:
    assert labels(matched([EST, arm("EST, unscaled", knobs={"est": {"inverse_scale": False}})])) == [STEPS, FLOPS]


def test_methods_of_other_lengths_have_baselines_of_their_own() -> None:
    longer = arm("EST, longer", budget={"steps": 500})
    assert labels(matched([EST, longer])) == [
        STEPS, "Dense, equal steps (EST, longer)", FLOPS, "Dense, equal FLOPs (EST, longer)",
    ]  # fmt: skip


@pytest.mark.parametrize("budget", [{"steps": 300}, {"tokens": 300 * 16 * 128}])
def test_a_dense_arm_that_does_the_same_is_not_added_again(budget: dict[str, int]) -> None:
    assert labels(matched([arm("Dense", "dense", budget=budget), EST])) == [FLOPS]


def test_a_method_that_saves_nothing_needs_one_baseline() -> None:
    whole = arm(knobs={"est": {"stage1": 0, "stage2": 0}})
    assert labels(matched([whole])) == [STEPS]


def test_dense_arms_get_no_baselines() -> None:
    assert matched([DENSE, arm("Dense, longer", "dense", budget={"steps": 500})]) == ()


def test_the_dense_arm_of_equal_steps_is_the_baseline_wherever_it_stands() -> None:
    shorter = arm("Dense, shorter", "dense", budget={"steps": 100})
    assert [a.label for a in completed([shorter, EST, DENSE], add=True) if a.is_baseline] == ["Dense"]
    assert [a.label for a in completed([EST], add=True) if a.is_baseline] == [STEPS]


def test_an_arm_that_is_marked_stays_the_baseline() -> None:
    marked = arm("EST", is_baseline=True)
    assert [a.label for a in completed([marked], add=True) if a.is_baseline] == ["EST"]


def test_without_matched_baselines_the_first_dense_arm_is_the_baseline() -> None:
    shorter = arm("Dense, shorter", "dense", budget={"steps": 100})
    found = completed([EST, shorter], add=False)
    assert [(a.label, a.is_baseline) for a in found] == [("EST", False), ("Dense, shorter", True)]


def test_a_launch_is_taken_back_to_what_was_asked() -> None:
    assert asked(completed([EST], add=True)) == ((EST,), True)


def test_a_launch_without_all_baselines_is_taken_back_whole() -> None:
    launched = completed([DENSE, EST], add=False)
    assert asked(launched) == (launched, False)


def test_a_long_label_leaves_its_baseline_a_label_that_fits() -> None:
    assert max(len(twin.label) for twin in matched([arm("x" * 100)])) == 100
