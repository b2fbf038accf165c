"""The capped log."""

from __future__ import annotations

from pathlib import Path

from worker.log import CUT, CappedLog


def test_a_short_log_is_kept_whole(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "a" / "log.txt", limit=100)
    log.write(b"one\n")
    log.write(b"two\n")
    assert (tmp_path / "a" / "log.txt").read_bytes() == b"one\ntwo\n"


def test_a_long_log_keeps_its_head_and_its_newest_lines(tmp_path: Path) -> None:
    log = CappedLog(tmp_path / "log.txt", limit=1000)
    for n in range(1000):
        log.write(b"line %04d\n" % n)
    kept = (tmp_path / "log.txt").read_bytes()
    assert kept.startswith(b"line 0000\n")
    assert kept.endswith(b"line 0999\n")
    assert CUT in kept
    assert len(kept) <= 1000
