"""One schema: unknown keys refused, every error with its path, digests that never drift."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from training import upgrades
from training.models.shape import PRESETS
from training.spec import Budget, RunSpec, problems


def refused(body: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as failure:
        RunSpec.model_validate(body)
    return problems(failure.value)


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({"budget": {"steps": 0}}, {"budget.steps"}),
        ({"budget": {"steps": -5}}, {"budget.steps"}),
        ({"budget": {"steps": 10**9}}, {"budget.steps"}),
        ({"budget": {"steps": 5, "tokens": 5}}, {"budget"}),
        ({"budget": {}}, {"budget"}),
        ({"optim": {"learning_rate": float("nan")}}, {"optim.learning_rate"}),
        ({"surprise": 1}, {"surprise"}),
        ({"knobs": {"dense": {"surprise": 1}}}, {"knobs.dense.surprise"}),
        ({"knobs": {"nobody": {}}}, {"knobs.nobody"}),
        ({"methods": ["nobody"]}, {"methods"}),
        ({"methods": ["dense", "est"]}, {"methods"}),
        ({"methods": []}, {"methods"}),
        ({"micro_batches": 3}, {"micro_batches"}),
        ({"evals": ["cloze", "cloze"]}, {"evals"}),
        ({"data": {"source": "../../etc/passwd"}}, {"data.source"}),
        ({"data": {"source": "text:../secret"}}, {"data.source"}),
        ({"data": {"context": 512}, "model": {"preset": "gpt2-tiny"}}, {"model"}),
        ({"data": {"context": 512}}, {"model"}),
        ({"data": {"source": "hf:nobody"}}, {"data.source"}),
        ({"model": {"preset": "gpt9"}}, {"model.preset"}),
    ],
)
def test_an_error_names_its_path(body: dict[str, Any], paths: set[str]) -> None:
    assert set(refused(body)) == paths


def test_all_errors_come_at_once() -> None:
    body = {"budget": {"steps": 0}, "knobs": {"dense": {"x": 1}}, "y": 2}
    assert set(refused(body)) == {"budget.steps", "knobs.dense.x", "y"}


def test_a_spec_survives_the_trip_through_json() -> None:
    spec = RunSpec(budget=Budget(tokens=10**6), methods=("est",))
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


def test_two_methods_that_own_the_same_are_refused_with_the_reason() -> None:
    said = refused({"methods": ["dense", "est"]})["methods"]
    assert (
        said == "Dense and Evolving Subnetwork Training both decide which part of the network runs; choose one of them"
    )


def test_a_digest_once_released_never_changes() -> None:
    assert RunSpec().digest() == "05ccb9227d1386e0d63101296167228da86a63239bba08f41a7eee84e9c4ddd5"
    est = RunSpec.model_validate({"methods": ["est"], "budget": {"steps": 1000}})
    assert est.digest() == RunSpec.model_validate(est.model_dump(mode="json")).digest()


def test_a_default_spelled_out_is_the_same_arm() -> None:
    assert RunSpec.model_validate({"budget": {"steps": 600}, "batch_size": 16}).digest() == RunSpec().digest()


def test_any_changed_value_is_another_arm() -> None:
    assert RunSpec(batch_size=32).digest() != RunSpec().digest()


def test_a_stored_body_is_read_through_the_upgrades() -> None:
    assert upgrades.parse(RunSpec().model_dump(mode="json")) == RunSpec()


def test_a_budget_in_tokens_counts_whole_steps() -> None:
    assert RunSpec(budget=Budget(tokens=16 * 128 * 10 + 5)).steps() == 10


def test_a_budget_in_flops_forecasts_itself() -> None:
    assert RunSpec(budget=Budget(flops=1e13)).train_flops() == pytest.approx(1e13, rel=0.01)


def test_steps_of_a_network_that_no_stage_trains_are_not_made_up() -> None:
    spec = RunSpec(methods=("est",), budget=Budget(flops=1e12))
    assert spec.flops_per_step_of(spec.shape) > 0
    with pytest.raises(LookupError, match="est: no stage of the card trains"):
        spec.flops_per_step_of(PRESETS["gpt2-nano"])


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"flops": 1e24}, "budget.flops: that is 6.17e+13 steps here"),
        ({"tokens": 10**13}, "budget.tokens: that is 4.88e+09 steps here"),
    ],
)
def test_a_budget_is_within_the_limits_of_steps_too(budget: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError) as failure:
        RunSpec.model_validate({"budget": budget, "methods": ["est"]})
    assert [f"{path}: {words}".split(";")[0] for path, words in problems(failure.value).items()] == [said]


def test_a_method_whose_dense_twin_would_train_for_ever_is_refused() -> None:
    """An ensemble of ten passes a step: the dense arm of equal FLOPs has more steps than a run may have."""
    body = {"task": "image_classification", "methods": ["soe"], "budget": {"steps": 10_000_000}}
    with pytest.raises(ValidationError, match="a dense arm of as many FLOPs would train"):
        RunSpec.model_validate(body)
