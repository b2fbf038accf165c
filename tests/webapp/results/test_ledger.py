"""The ledger's tables: how each cost was obtained, where wall time went, what is left out of the count."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from tests.webapp.runs.conftest import lease, new_run
from training.account import Account, Uncounted
from training.clock import Segment
from training.records import Purpose
from training.spec import RunSpec
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun
from webapp.results.evaluations import Evaluation

if TYPE_CHECKING:
    from webapp.runs import port

__all__ = ["lease", "new_run"]
SPEC = RunSpec()
BILL = (
    Line("train", Purpose.TRAIN, 80.0, 40.0, 8.0, 800, 8),
    Line("teacher", Purpose.SOURCE, 20.0, 20.0, 2.0, 200, 2),
    Line("train", Purpose.REDONE, 5.0, 5.0, 1.0, 50, 1),
)


def compared(code: str = "c", run: str = "r", lines: tuple[Line, ...] = BILL) -> Comparison:
    seed = SeedRun(run, 0, "succeeded", (Evaluation(10, 1000, 100.0, 10.0, 2.0),), lines)
    return Comparison(code, "", "", (ArmResult("a", "Dense", 0, True, SPEC, (seed,)),))


@pytest.fixture
def told(lease: port.Lease) -> Comparison:
    """A run whose attempt took 10 s, of which it named 9.9."""
    from webapp.runs.models import Attempt, Run

    relu = Uncounted(phase="train", part="step", operator="aten.relu", kind="elementwise", calls=4, elements=64)
    moe = changed(relu, operator="aten._grouped_mm", kind="product")
    view = changed(relu, operator="aten.view", kind="free")
    account = Account(
        clock={Segment.STARTING: 1.9, Segment.TRAINING: 8.0}, signatures={"train": 3}, uncounted=(relu, moe, view)
    )
    now, run = timezone.now(), Run.objects.get()
    Attempt.objects.update(started_at=now - timedelta(seconds=10), ended_at=now, body=account.model_dump(mode="json"))
    return compared(run.arm.experiment.code, run.code)


def changed(known: Uncounted, /, **changes: str) -> Uncounted:
    return known.model_copy(update=changes)


def test_the_residual_of_an_attempt_is_printed(told: Comparison) -> None:
    from webapp.results import ledger

    ((*_, wall, rest),) = ledger.wall(told).rows
    assert (wall, rest) == (10.0, "1.0%")


def test_a_residual_above_two_percent_is_named_a_fault(told: Comparison) -> None:
    from webapp.results import ledger
    from webapp.runs.models import Attempt

    Attempt.objects.update(started_at=timezone.now() - timedelta(seconds=20))
    assert "beyond 2%" in str(ledger.wall(told).rows[0][-1])


def test_the_bars_of_the_wall_clock_stack_up_to_it(told: Comparison) -> None:
    from webapp.results import ledger

    assert sum(trace["x"][0] for trace in ledger.wall_bars(told).figure["data"]) == pytest.approx(10.0)


def test_products_without_a_formula_come_first_and_free_operators_apart(told: Comparison) -> None:
    from webapp.results import ledger

    assert [row[3] for row in ledger.uncounted(told, free=False).rows] == ["aten._grouped_mm", "aten.relu"]
    assert [row[3] for row in ledger.uncounted(told, free=True).rows] == ["aten.view"]


def test_each_line_says_its_share_and_how_it_was_obtained(told: Comparison) -> None:
    from webapp.results import ledger

    train, source, redone = ledger.bill(told).rows
    assert (train[9], source[9]) == (0.8, 0.2)
    assert (train[8], source[8], redone[8]) == (8, 2, 1)
    assert train[-1] == "counted by dispatch, 3 signatures, replayed"
    assert redone[3] == "no"
    assert "checkpoint" in str(redone[-1])


def test_flops_and_seconds_stand_beside_tokens_and_examples_redone_work_apart() -> None:
    from webapp.results import ledger

    assert ledger.in_all(compared()).rows == (
        ("Dense", "training", 100.0, 60.0, 10.0, 1000.0, 10.0, 1),
        ("Dense", "not counted", 5.0, 5.0, 1.0, 50.0, 1.0, 1),
    )
