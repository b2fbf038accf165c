"""People and operators ask a running stack to stop, wait or move."""

from __future__ import annotations

import signal
from typing import Any

from tests.faults.conftest import Stack
from tests.faults.test_kills import finish_as_undisturbed, training


def test_a_cancelled_run_stops_within_a_heartbeat_and_a_step(stack: Stack) -> None:
    run = training(stack)
    stack.ask("cancel", run)
    stack.until_state(run, "cancelled", seconds=5)
    stack.until(lambda: not stack.has_trainer(run), seconds=5)


def test_a_paused_run_frees_its_worker_and_goes_on_where_it_was(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.ask("pause", run)
    stack.until_state(run, "queued")
    other = stack.submit(budget={"steps": 2})
    stack.until_state(other, "succeeded")
    assert stack.run(run, "state") == "queued"
    stack.ask("resume", run)
    assert finish_as_undisturbed(stack, run, undisturbed) == 0


def test_a_worker_that_is_asked_to_end_hands_its_run_over(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    worker = stack.processes["cpu0"]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=8) == 0
    assert stack.run(run, "attempts_no_progress") == 0
    stack.start_worker("cpu1")
    assert finish_as_undisturbed(stack, run, undisturbed) == 0


def test_a_cancelled_run_can_be_reopened_and_ends_as_undisturbed(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.ask("cancel", run)
    stack.until_state(run, "cancelled")
    stack.ask("reopen", run)
    stack.until(lambda: stack.run(run, "state") != "cancelled")
    finish_as_undisturbed(stack, run, undisturbed)


def test_a_hung_trainer_is_aborted_with_its_stack_in_the_log(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    trainer = stack.trainer(run)
    trainer.suspend()
    stack.until(lambda: stack.run(run, "fence") == 2, seconds=20)
    stack.until_state(run, "succeeded")
    assert stack.rows("SELECT exit_class FROM runs_attempt WHERE run_id = %s AND n = 1", run) == [("stalled",)]


def test_a_trainer_that_hangs_before_its_first_step_is_aborted_too(stack: Stack) -> None:
    stack.stop("cpu0")
    stack.environment["QUIET_SECONDS"] = "2"
    stack.start_worker("cpu1")
    del stack.environment["QUIET_SECONDS"]
    run = stack.submit()
    stack.until(lambda: stack.has_trainer(run))
    stack.trainer(run).suspend()
    ended = "SELECT exit_class FROM runs_attempt WHERE run_id = %s AND n = 1 AND exit_class <> ''"
    stack.until(lambda: stack.rows(ended, run) != [])
    assert stack.rows(ended, run) == [("stalled",)]
