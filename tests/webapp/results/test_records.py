"""Records follow their written rules: planted arms whose true costs are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.results import records
from webapp.results.comparison import ArmResult, Unit
from webapp.results.records import Board, Entry, Hardware
from webapp.results.savings import findings
from webapp.results.settled import Settled

CPU = Hardware("cpu", "2 x Xeon", 1)
EST = RunSpec(methods=("est",))
TARGET = 4.0


def arm(lag: float, *, index: int, seeds: Sequence[int] = range(5)) -> ArmResult:
    runs = [planted.run(seed, lag=lag) for seed in seeds]
    runs = [replace(run, code=f"{lag}-{run.seed}") for run in runs]
    return planted.arm(f"arm {lag}", runs, index=index, spec=EST if index else RunSpec())


def finished(*lags: float, day: int = 0, seeds: Sequence[int] = range(5)) -> Settled:
    """A dense baseline and a rival, which need these multiples of the planted cost; it ended on this day."""
    found = planted.comparison(*(arm(lag, index=index, seeds=seeds) for index, lag in enumerate(lags)))
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return Settled(f"exp{day}", f"Experiment {day}", at, found, findings(found))


def machines(*found: Settled, queue: str = "cpu") -> dict[str, Hardware]:
    return {run.code: CPU._replace(queue=queue) for each in found for run in each.comparison.runs}


def board(*found: Settled, target: float = TARGET, unit: Unit = Unit.EXECUTED) -> Board:
    return next(board for board in records.boards(found, machines(*found), unit) if board.target == target)


def labels(found: Board) -> list[str]:
    return [record.entry.arm.label for record in found.records]


def test_a_cheaper_arm_takes_the_record_of_its_baseline() -> None:
    found = board(finished(1.0, 0.6))
    assert labels(found) == ["arm 1.0", "arm 0.6"]
    assert found.records[0].p is None
    assert found.records[1].p is not None
    assert found.records[1].p < records.LEVEL


def test_a_dearer_arm_takes_none() -> None:
    assert labels(board(finished(1.0, 1.2))) == ["arm 1.0"]


def test_a_later_experiment_must_beat_the_record_that_stands() -> None:
    first, second = finished(1.0, 0.6, day=0), finished(0.9, 0.5, day=1)
    assert labels(board(second, first)) == ["arm 1.0", "arm 0.6", "arm 0.5"]


def test_arms_of_one_experiment_are_paired_and_others_are_not() -> None:
    found = board(finished(1.0, 0.6, day=0), finished(0.9, 0.4, day=1))
    assert [record.test for record in found.records] == ["", "paired t", "Welch's t"]


def test_the_same_costs_again_are_no_record() -> None:
    assert labels(board(finished(1.0, 0.6, day=0), finished(1.0, 0.6, day=1))) == ["arm 1.0", "arm 0.6"]


def test_the_cost_is_where_the_planted_curve_meets_the_target() -> None:
    entry = board(finished(1.0, 0.6)).records[0].entry
    truth = [
        10 * float(np.exp(np.random.default_rng(seed).normal(0, 0.05))) * 9 * planted.STEP_FLOPS for seed in range(5)
    ]
    assert [entry.executed[seed] for seed in range(5)] == pytest.approx(truth, rel=0.02)


def test_a_target_that_a_seed_missed_has_no_entry_of_that_arm() -> None:
    each = finished(1.0, 3.0)
    slow = each.comparison.rivals[0]
    assert records.entry(each, slow, 3.75) is not None
    assert records.entry(each, slow, 3.5) is None


def test_an_unmatched_experiment_takes_no_part() -> None:
    few = finished(1.0, 0.6, seeds=range(2))
    assert records.boards([few], machines(few), Unit.EXECUTED) == ()


def test_machines_of_two_kinds_have_two_tables() -> None:
    first, second = finished(1.0, 0.6, day=0), finished(1.0, 0.5, day=1)
    both = machines(first) | {code: CPU._replace(device="H200") for code in machines(second) if code.startswith("0.5")}
    found = [board for board in records.boards([first, second], both, Unit.EXECUTED) if board.target == TARGET]
    assert {board.field.hardware.device for board in found} == {"2 x Xeon", "H200"}


def test_an_arm_that_ran_on_two_kinds_of_machines_takes_no_part() -> None:
    each = finished(1.0, 0.6)
    mixed = machines(each) | {"0.6-0": CPU._replace(device="H200")}
    found = [board for board in records.boards([each], mixed, Unit.EXECUTED) if board.target == TARGET]
    assert [labels(board) for board in found] == [["arm 1.0"]]


def test_wall_time_has_records_of_its_own() -> None:
    found = board(finished(1.0, 0.6), unit=Unit.SECONDS)
    entry: Entry = found.records[-1].entry
    assert found.unit is Unit.SECONDS
    assert entry.mean(Unit.SECONDS) == pytest.approx(entry.mean(Unit.EXECUTED) * 0.1 / planted.STEP_FLOPS)


def test_chance_breaks_a_record_no_more_often_than_the_rules_say() -> None:
    rng, broken = np.random.default_rng(1), 0
    template = board(finished(1.0, 0.6)).records[0].entry
    for _ in range(2000):
        sides = [dict(enumerate(np.exp(rng.normal(0, 0.1, 5)))) for _ in range(2)]
        ours, theirs = (
            Entry(code, "", template.at, template.arm, costs, costs) for code, costs in zip("ab", sides, strict=True)
        )
        broken += records.p_value(ours, theirs, Unit.EXECUTED)[0] < records.LEVEL
    assert broken / 2000 < records.LEVEL + 0.015
