"""Whatever is killed, the run ends as if nothing had happened, and what was done twice is booked `redone`."""

from __future__ import annotations

import signal
import time
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Stack


def finish_as_undisturbed(stack: Stack, run: int, undisturbed: dict[str, Any]) -> float:
    """Wait for the end, hold the run against the undisturbed one, and return what was done twice."""
    stack.until_state(run, "succeeded")
    bill = stack.bill(run)
    redone = bill.pop("redone", 0.0)
    assert stack.curves(run) == undisturbed["curves"]
    assert stack.weights(run) == undisturbed["weights"]
    assert bill == undisturbed["bill"]
    return redone


def training(stack: Stack) -> int:
    """A run of `SPEC` that has a checkpoint, and points beyond it."""
    run = stack.submit()
    stack.until_checkpoint(run)
    stack.until(lambda: stack.run(run, "step") > stack.run(run, "checkpoint_step"))
    return run


def test_an_undisturbed_run_logs_its_curves_and_pays_nothing_twice(undisturbed: dict[str, Any]) -> None:
    assert {row[1] for row in undisturbed["curves"]} == {"train/loss", "val/loss"}
    assert "redone" not in undisturbed["bill"]


def test_a_killed_trainer_costs_only_the_work_since_its_checkpoint(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.trainer(run).kill()
    stack.until(lambda: "out of memory" in stack.run(run, "failure_text"))
    assert finish_as_undisturbed(stack, run, undisturbed) > 0
    assert stack.rows("SELECT exit_class, signal FROM runs_attempt WHERE run_id = %s AND n = 1", run) == [
        ("signal SIGKILL", signal.SIGKILL)
    ]


def test_a_killed_worker_leaves_no_orphan_and_another_takes_over(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    trainer = stack.trainer(run)
    stack.processes["cpu0"].kill()
    trainer.wait(timeout=2)
    stack.start_worker("cpu1")
    assert finish_as_undisturbed(stack, run, undisturbed) > 0


def test_a_whole_worker_tree_killed_at_once_is_noticed_by_its_lease(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.stop("cpu0")
    stack.until_state(run, "queued", seconds=6)
    stack.start_worker()
    finish_as_undisturbed(stack, run, undisturbed)


def test_a_frozen_worker_is_fenced_and_its_trainer_ended(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    frozen, trainer = psutil.Process(stack.processes["cpu0"].pid), stack.trainer(run)
    for process in (frozen, trainer):
        process.suspend()
    stack.until_state(run, "queued", seconds=6)
    stack.start_worker("cpu1")
    stack.until(lambda: stack.run(run, "fence") == 2)
    for process in (frozen, trainer):
        process.resume()
    trainer.wait(timeout=3)
    finish_as_undisturbed(stack, run, undisturbed)
    assert stack.rows("SELECT DISTINCT fence FROM runs_point WHERE event > (SELECT rewound_seq FROM runs_run"
                      " WHERE id = %s) AND series_id IN (SELECT id FROM runs_series WHERE run_id = %s)", run, run) == [
        (2,)
    ]  # fmt: skip


def test_a_killed_redis_server_disturbs_no_training(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    assert stack.valkey.process is not None
    stack.valkey.process.kill()
    stack.valkey.process.wait()
    time.sleep(1.0)
    stack.valkey.start()
    assert finish_as_undisturbed(stack, run, undisturbed) == 0
    later = stack.submit(budget={"steps": 2})
    stack.until_state(later, "succeeded")


def test_a_restart_of_postgres_reaps_nobody(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.postgres.stop()
    stack.postgres.start()
    assert finish_as_undisturbed(stack, run, undisturbed) == 0
    assert stack.run(run, "attempt") == 1


def test_postgres_away_for_longer_than_a_lease_loses_no_point(stack: Stack, undisturbed: dict[str, Any]) -> None:
    run = training(stack)
    stack.postgres.stop()
    time.sleep(4.0)
    stack.postgres.start()
    assert finish_as_undisturbed(stack, run, undisturbed) == 0
    assert stack.run(run, "attempt") == 1


def test_an_emptied_redis_loses_no_run(stack: Stack, undisturbed: dict[str, Any]) -> None:
    stack.stop("sweep")
    run = stack.submit()
    stack.flush_redis()
    stack.start_sweeper()
    assert finish_as_undisturbed(stack, run, undisturbed) == 0


@pytest.mark.parametrize("file", ["tensors.safetensors", "manifest.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(stack: Stack, undisturbed: dict[str, Any], file: str) -> None:
    run = training(stack)
    stack.until(lambda: len(stack.checkpoints(run)) == 2)
    stack.stop("cpu0")
    newest = stack.checkpoints(run)[-1] / file
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    stack.start_worker()
    finish_as_undisturbed(stack, run, undisturbed)
    assert stack.checkpoints(run)


def test_a_run_that_kills_its_trainers_is_quarantined_after_three(stack: Stack) -> None:
    run = stack.submit()
    for _ in range(3):
        stack.until(lambda: stack.has_trainer(run))
        trainer = stack.trainer(run)
        trainer.kill()
        trainer.wait(timeout=2)
    stack.until_state(run, "quarantined")
    assert stack.run(run, "attempt") == 3
