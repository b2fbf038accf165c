"""Where the wall clock of real attempts went: the named segments are all of it, killed attempts included."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Stack
from tests.faults.test_kills import training

PERCENT = 0.02


def attempts(stack: Stack, run: int) -> list[tuple[float, dict[str, float]]]:
    """Wall clock on the database's clock, and the seconds by segment, attempt by attempt."""
    return stack.rows(
        "SELECT extract(epoch FROM ended_at - started_at)::float8, body -> 'clock' FROM runs_attempt"
        " WHERE run_id = %s ORDER BY n",
        run,
    )


def test_the_segments_of_an_attempt_sum_to_its_wall_clock_within_two_percent(stack: Stack) -> None:
    run = stack.submit()
    stack.until_state(run, "succeeded", seconds=120)
    ((seconds, clock),) = attempts(stack, run)
    assert sum(clock.values()) == pytest.approx(seconds, rel=PERCENT)
    assert set(clock) == {
        "starting", "preparing", "training", "evaluating", "checkpointing", "scoring", "finishing",
    }  # fmt: skip
    billed = stack.rows("SELECT sum(wall_seconds) FROM runs_costline WHERE run_id = %s", run)[0][0]
    assert billed == pytest.approx(clock["training"] + clock["evaluating"] + clock["scoring"], rel=0.05)


def test_a_released_attempt_says_where_its_time_went(stack: Stack) -> None:
    run = training(stack)
    stack.ask("pause", run)
    stack.until_state(run, "queued")
    ((seconds, clock),) = attempts(stack, run)
    assert sum(clock.values()) == pytest.approx(seconds, rel=0.05)
