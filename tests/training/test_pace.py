"""What a step demands, and what a run takes at given prices."""

from __future__ import annotations

import pytest

from training import pace
from training.pace import Pace
from training.spec import Budget, RunSpec

PRICES = Pace(1e-4, 1e-11, 5e-9, 2e-9, 2e-9)
DENSE = RunSpec(budget=Budget(steps=100))


def test_a_device_that_asks_for_flops_alone_takes_them_over_its_rate() -> None:
    only = Pace(0.0, 1 / 4e10, 0.0, 0.0, 0.0)
    assert pace.training(DENSE, only) == pytest.approx(DENSE.train_flops() / 4e10)


def test_twice_the_steps_take_twice_the_time() -> None:
    longer = DENSE.model_copy(update={"budget": Budget(steps=200)})
    assert pace.training(longer, PRICES) == pytest.approx(2 * pace.training(DENSE, PRICES))


def test_micro_batches_cost_calls_and_nothing_else() -> None:
    split = DENSE.model_copy(update={"micro_batches": 4})
    extra = 100 * 3 * DENSE.shape.layers * PRICES.layers
    assert pace.training(split, PRICES) - pace.training(DENSE, PRICES) == pytest.approx(extra)


def test_what_a_method_leaves_out_saves_less_time_than_flops() -> None:
    est = RunSpec(budget=Budget(steps=100), methods=("est",))
    time = pace.training(est, PRICES) / pace.training(DENSE, PRICES)
    assert est.train_flops() / DENSE.train_flops() < time < 1


def test_a_price_list_of_another_length_is_no_price_list() -> None:
    assert pace.pace_of([1.0, 2.0]) is None
    assert pace.pace_of(None) is None
