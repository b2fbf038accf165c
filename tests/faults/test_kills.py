"""Whatever is killed, the run ends as if nothing had happened, and what was done twice is booked `redone`."""

from __future__ import annotations

from typing import Any

from tests.faults.conftest import Stack


def assert_as_undisturbed(stack: Stack, run: int, undisturbed: dict[str, Any]) -> None:
    assert stack.curves(run) == undisturbed["curves"]
    assert stack.weights(run) == undisturbed["weights"]
    bill = stack.bill(run)
    assert bill.pop("redone", 0.0) >= 0.0
    assert bill == undisturbed["bill"]


def test_an_undisturbed_run_logs_its_curves_and_pays_nothing_twice(undisturbed: dict[str, Any]) -> None:
    assert {row[1] for row in undisturbed["curves"]} == {"train/loss", "val/loss"}
    assert "redone" not in undisturbed["bill"]
