"""What a trainer tells while it prepares, and when it cannot go on."""

from __future__ import annotations

import logging

import pytest

from webapp.runs import port
from webapp.runs.models import Run, State
from worker.sink import Outbox
from worker.trainer import end, tenths


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


def test_the_preparation_of_data_is_logged_at_every_tenth(caplog: pytest.LogCaptureFixture) -> None:
    tell = tenths()
    with caplog.at_level(logging.INFO, logger="worker.trainer"):
        for part in ("train", "test"):
            for done in range(1001):
                tell(f"Tokenising the {part} part", done / 1000)
    assert len(caplog.messages) == 22
    assert caplog.messages[-1] == "Tokenising the test part: 100 %"
