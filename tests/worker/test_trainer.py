"""What a trainer tells while it prepares, and when it cannot go on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.training.workbench import make_workbench
from webapp.runs import port
from webapp.runs.models import Run, RunEvent, State
from worker.sink import Outbox
from worker.trainer import end, settle, tenths


@pytest.mark.django_db(transaction=True)
def test_a_full_disk_says_what_to_do_and_puts_the_run_back(lease: port.Lease) -> None:
    def train() -> None:
        with open("/dev/full", "wb", buffering=0) as disk:
            disk.write(b"a checkpoint")

    with Outbox(lease) as outbox:
        end(lease, outbox, train)
    run = Run.objects.get()
    assert (run.state, run.failure) == (State.QUEUED, "disk_full")
    assert run.failure_text.startswith("No space is left")
    assert "Free some" in run.failure_text


@pytest.mark.django_db(transaction=True)
def test_what_a_method_says_of_its_run_is_stored_with_it(lease: port.Lease, tmp_path: Path) -> None:
    bench = make_workbench(tmp_path)
    done = bench.train(bench.spec("deep_fusion"))
    assert port.finalize(lease)
    with Outbox(lease) as outbox:
        settle(lease, outbox, done.lab, done.outcome)
    notes = RunEvent.objects.filter(run_id=lease.run_id, was="", now="").values_list("note", flat=True)
    assert [note.partition(":")[0] for note in notes.order_by("pk")] == [
        "cost of fused phase", "cost of fused phase and longest path of leaves", "cost of all phases",
    ]  # fmt: skip
    assert f"{done.training():.4g} FLOPs" in notes.order_by("pk")[2]


def test_the_preparation_of_data_is_logged_at_every_tenth(caplog: pytest.LogCaptureFixture) -> None:
    tell = tenths()
    with caplog.at_level(logging.INFO, logger="worker.trainer"):
        for part in ("train", "test"):
            for done in range(1001):
                tell(f"Tokenising the {part} part", done / 1000)
    assert len(caplog.messages) == 22
    assert caplog.messages[-1] == "Tokenising the test part: 100 %"
