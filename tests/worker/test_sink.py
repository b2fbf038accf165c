"""The spool between the trainer and the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from training.account import Account
from training.clock import Segment
from training.records import CostLine, Point, Purpose
from webapp.runs import port
from webapp.runs.models import Attempt
from webapp.runs.models import CostLine as StoredLine
from webapp.runs.models import Point as StoredPoint
from worker.sink import MOST_BYTES, Outbox, Spool


def test_lines_come_out_in_the_order_they_went_in() -> None:
    spool = Spool()
    for n in range(3):
        spool.append(b"%d" % n)
    assert spool.peek() == [b"0\n", b"1\n", b"2\n"]


def test_what_is_not_dropped_comes_again() -> None:
    spool = Spool()
    for n in range(3):
        spool.append(b"%d" % n)
    spool.drop(spool.peek()[:2])
    spool.append(b"3")
    assert spool.peek() == [b"2\n", b"3\n"]


def test_more_than_memory_should_hold_goes_to_disk_and_comes_back() -> None:
    spool, line = Spool(), b"x" * 1000
    for _ in range(1000):
        spool.append(line)
    count = 0
    while lines := spool.peek():
        assert sum(map(len, lines)) <= MOST_BYTES + len(line)
        spool.drop(lines)
        count += len(lines)
    assert count == 1000


@pytest.fixture
def outbox(lease: port.Lease) -> Iterator[Outbox]:
    with Outbox(lease) as outbox:
        yield outbox


def point(step: int, name: str = "train/loss") -> Point:
    return Point("train", name, step, 1.0, 1.0, 1, 1.0)


@pytest.mark.django_db(transaction=True)
def test_what_is_put_is_stored_when_it_is_flushed(outbox: Outbox) -> None:
    outbox.put([point(step) for step in range(5000)], [CostLine("train", Purpose.TRAIN, 7.0)], progress=0.5)
    outbox.flush()
    assert StoredPoint.objects.count() == 5000
    assert StoredLine.objects.get().executed == 7.0


@pytest.mark.django_db(transaction=True)
def test_a_bill_that_changes_after_it_was_put_is_stored_as_it_was(outbox: Outbox) -> None:
    line = CostLine("train", Purpose.TRAIN, 7.0)
    outbox.put([], [line], progress=0.5)
    line.executed = 8.0
    outbox.flush()
    assert StoredLine.objects.get().executed == 7.0


@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_counts_only_after_the_points_before_it(outbox: Outbox, lease: port.Lease) -> None:
    outbox.put([point(1)], [], progress=0.1)
    outbox.register(port.Checkpoint("train", "somewhere", 1, 0))
    outbox.put([point(2)], [], progress=0.2)
    outbox.flush()
    cut = port.checkpoints(lease)[0].event
    assert list(StoredPoint.objects.filter(event__lte=cut).values_list("step", flat=True)) == [1]


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_told_to_the_trainer(outbox: Outbox) -> None:
    outbox.put([point(1, name="x" * 200)], [], progress=0.1)
    with pytest.raises(RuntimeError, match="refuses"):
        outbox.flush()


@pytest.mark.django_db(transaction=True)
def test_a_flush_stores_where_the_time_went_until_then(outbox: Outbox) -> None:
    outbox.account = lambda: Account(clock={Segment.TRAINING: 4.0})
    outbox.put([point(1)], [], progress=0.1)
    outbox.flush()
    assert Attempt.objects.get().account.clock == {Segment.TRAINING: 4.0}


@pytest.mark.django_db(transaction=True)
def test_an_account_between_points_keeps_their_order(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.sink.ACCOUNT_SECONDS", 0.0)
    outbox.account = lambda: Account(clock={Segment.TRAINING: 4.0})
    for step in range(5):
        outbox.put([point(step)], [CostLine("train", Purpose.TRAIN, float(step))], progress=step / 5)
    outbox.flush()
    assert StoredLine.objects.get().executed == 4.0
    assert StoredPoint.objects.count() == 5
