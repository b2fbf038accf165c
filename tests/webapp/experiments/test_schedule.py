"""The queue played forward."""

from __future__ import annotations

from webapp.experiments.schedule import Slot, Waiting, played


def test_one_worker_takes_run_after_run() -> None:
    assert played([Slot()], [Waiting(1, 10), Waiting(1, 5)]) == [(0, 10), (10, 15)]


def test_a_run_waits_until_a_busy_worker_is_free() -> None:
    assert played([Slot(30, project=2)], [Waiting(1, 10)]) == [(30, 40)]


def test_a_higher_priority_goes_first() -> None:
    assert played([Slot()], [Waiting(1, 10), Waiting(1, 5, priority=1)]) == [(5, 15), (0, 5)]


def test_a_project_that_runs_nothing_goes_before_one_that_does() -> None:
    held = Slot(100, project=1)
    assert played([Slot(), held], [Waiting(1, 10), Waiting(2, 10)]) == [(10, 20), (0, 10)]


def test_a_long_queue_keeps_every_worker_busy() -> None:
    times = played([Slot(), Slot()], [Waiting(place % 3, 1) for place in range(2000)])
    assert max(end for _, end in times) == 1000
