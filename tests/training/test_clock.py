"""Segments of an attempt's wall clock: each second has one name."""

from __future__ import annotations

import time

import pytest

from tests.training.workbench import Workbench
from training.clock import Clock, Segment


def test_what_runs_inside_is_not_part_of_what_is_around_it() -> None:
    clock = Clock()
    with clock.during(Segment.TRAINING):
        with clock.during(Segment.EVALUATING):
            time.sleep(0.05)
        time.sleep(0.01)
    assert clock.seconds[Segment.EVALUATING] == pytest.approx(0.05, abs=0.02)
    assert clock.seconds[Segment.TRAINING] == pytest.approx(0.01, abs=0.02)


def test_time_before_the_clock_was_made_is_start_up() -> None:
    assert Clock(already=3.0).seconds[Segment.STARTING] == pytest.approx(3.0, abs=0.1)


def test_a_segment_that_breaks_gives_the_clock_back() -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError), clock.during(Segment.TRAINING):
        _ = 1 / 0
    before = clock.seconds[Segment.TRAINING]
    time.sleep(0.01)
    assert clock.seconds[Segment.TRAINING] == before


def test_the_segments_of_a_real_run_sum_to_its_wall_clock(bench: Workbench) -> None:
    start = time.monotonic()
    done = bench.train(bench.spec(budget={"steps": 60}))
    done.lab.score(done.outcome)
    passed, account = time.monotonic() - start, done.lab.account()
    preparing = passed - account.seconds
    assert 0 <= preparing < 1.0, "only the data was read before the lab and its clock were made"
    assert account.clock[Segment.TRAINING] > account.clock[Segment.EVALUATING] > 0
    assert account.clock[Segment.CHECKPOINTING] > 0


def test_the_bill_of_training_and_evaluation_fills_their_segments(bench: Workbench) -> None:
    done = bench.train(bench.spec(budget={"steps": 200}))
    clock = done.lab.account().clock
    billed = sum(line.wall_seconds for line in done.lab.ledger.lines.values())
    assert billed == pytest.approx(clock[Segment.TRAINING] + clock[Segment.EVALUATING], rel=0.02)
