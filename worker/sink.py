"""The way from the trainer to the database: an ordered spool and a thread that empties it.

Training never waits for the database. While that is away, lines pile up in memory and then on disk, and are replayed in
order. A checkpoint is registered through the same spool, so a registered checkpoint has all its points stored.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import takewhile
from typing import IO, Any, Self

from django.conf import settings
from django.db import InterfaceError, OperationalError

from training.account import Account
from training.records import CostLine, Point, Purpose
from webapp.runs import port

log = logging.getLogger(__name__)
FENCED = 71
"""Exit code of a trainer that lost its run to another attempt."""
MOST_POINTS, MOST_BYTES = 2000, 256 * 1024
EVERY_SECONDS = 0.25
ACCOUNT_SECONDS = 1.0
"""How often a trainer says where its time goes: a killed attempt leaves at most this much without a name."""
MOST_SPOOLED = 256 * 1024 * 1024
AWAY = (OperationalError, InterfaceError)


class Spool:
    """Lines in order: in memory while few, on disk when many. Not safe by itself: its owner holds a lock."""

    def __init__(self) -> None:
        self._start_anew()

    def append(self, line: bytes) -> None:
        self.file.seek(0, os.SEEK_END)
        self.file.write(line + b"\n")
        if self.file.tell() > MOST_SPOOLED:
            raise OSError(f"the database is away, and {MOST_SPOOLED} bytes of points wait for it")
        self.waiting += 1

    def peek(self) -> list[bytes]:
        """The next lines, at most MOST_BYTES of them but at least one if there is any."""
        self.file.seek(self.read)
        return self.file.readlines(MOST_BYTES) if self.waiting else []

    def drop(self, lines: Sequence[bytes]) -> None:
        self.read += sum(len(line) for line in lines)
        self.waiting -= len(lines)
        if not self.waiting:
            self.file.close()
            self._start_anew()

    def _start_anew(self) -> None:
        self.file: IO[bytes] = tempfile.SpooledTemporaryFile(MOST_BYTES)  # noqa: SIM115 lives as long as we do
        self.read = self.waiting = 0


class Outbox:
    """The lab's `Sink`, and the registrar of checkpoints."""

    def __init__(self, lease: port.Lease) -> None:
        self.lease, self.spool = lease, Spool()
        self.account: Callable[[], Account] | None = None
        self.accounted_at = time.monotonic()
        self.changed = threading.Condition()
        self.broken: Exception | None = None
        self.closed = self.hurried = self.away = False
        self.thread = threading.Thread(target=self._empty, name="outbox", daemon=True)
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """End the thread; what should still be stored is flushed before."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.thread.join()

    def put(self, points: Sequence[Point], costs: Sequence[CostLine], *, progress: float) -> None:
        """Returns at once; the lines of the bill are copied, for the ledger goes on changing them."""
        batches = [points[i : i + MOST_POINTS] for i in range(0, len(points), MOST_POINTS)] or [[]]
        for batch in batches:
            self._append(
                points=[asdict(point) for point in batch], costs=[line.as_dict() for line in costs], progress=progress,
                account=self._told() if time.monotonic() - self.accounted_at >= ACCOUNT_SECONDS else None,
            )  # fmt: skip

    def register(self, saved: port.Checkpoint) -> None:
        """Make a checkpoint count once everything before it is stored."""
        self._append(checkpoint=asdict(saved))

    def flush(self) -> None:
        """Wait until everything is stored, the account of that moment too, however long the database is away."""
        self._wait()
        if self.account:
            self._append(points=[], costs=[], progress=0.0, account=self._told())
            self._wait()

    def _told(self) -> dict[str, Any] | None:
        """The account, where it is due."""
        if self.account is None:
            return None
        self.accounted_at = time.monotonic()
        return self.account().model_dump(mode="json")

    def _wait(self) -> None:
        with self.changed:
            self.hurried = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.broken or not self.spool.waiting)
            self.hurried = False
            self._complain()

    def _append(self, **entry: Any) -> None:
        with self.changed:
            self._complain()
            self.spool.append(json.dumps(entry).encode())
            self.changed.notify_all()

    def _complain(self) -> None:
        if self.broken:
            raise RuntimeError("the database refuses what was measured") from self.broken

    def _empty(self) -> None:
        while not self.broken:
            with self.changed:
                self.changed.wait_for(lambda: self.spool.waiting or self.closed)
                if self.closed:
                    break
                lines = self.spool.peek()
            try:
                stored = self._deliver(lines)
            except Exception as failure:  # told to whoever puts or flushes next
                stored, self.broken = 0, failure
            self.away = not stored
            with self.changed:
                self.spool.drop(lines[:stored])
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.closed or (self.hurried and not self.away), EVERY_SECONDS)
        port.reconnect()

    def _deliver(self, lines: Sequence[bytes]) -> int:
        """Store as many lines as one transaction takes; how many were stored, none while the database is away."""
        entries = [json.loads(line) for line in lines]
        try:
            if "checkpoint" in entries[0]:
                self._register(port.Checkpoint(**entries[0]["checkpoint"]))
                return 1
            batch = list(takewhile(lambda entry: "points" in entry, entries))
            points = [Point(**point) for entry in batch for point in entry["points"]]
            told = [entry["costs"] for entry in batch if entry["costs"]][-1:]
            costs = [CostLine(**line | {"purpose": Purpose(line["purpose"])}) for lines in told for line in lines]
            port.record(self.lease, points, costs, batch[-1]["progress"])
            if accounts := [entry["account"] for entry in batch if entry["account"]]:
                port.account(self.lease, Account.model_validate(accounts[-1]))
        except port.Fenced:
            log.error("another attempt holds the run: stopping")
            os._exit(FENCED)
        except AWAY as failure:
            log.warning("the database is away, spooling: %s", failure)
            port.reconnect()
            return 0
        return len(batch)

    def _register(self, saved: port.Checkpoint) -> None:
        for path in port.register_checkpoint(self.lease, saved):
            shutil.rmtree(settings.ARTIFACT_ROOT / path, ignore_errors=True)
        log.info("checkpoint %s at step %s: %s", saved.name, saved.step, saved.path)
