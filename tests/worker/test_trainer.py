"""What a trainer tells while it prepares."""

from __future__ import annotations

import logging

import pytest

from worker.trainer import tenths


def test_the_preparation_of_data_is_logged_at_every_tenth(caplog: pytest.LogCaptureFixture) -> None:
    tell = tenths()
    with caplog.at_level(logging.INFO, logger="worker.trainer"):
        for part in ("train", "test"):
            for done in range(1001):
                tell(f"Tokenising the {part} part", done / 1000)
    assert len(caplog.messages) == 22
    assert caplog.messages[-1] == "Tokenising the test part: 100 %"
