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
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, Self

from django.conf import settings
from django.db import InterfaceError, OperationalError

from training.records import CostLine, Point, Purpose
from webapp.runs import port

log = logging.getLogger(__name__)
FENCED = 71
"""Exit code of a trainer that lost its run to another attempt."""
MOST_POINTS, MOST_BYTES = 2000, 256 * 1024
EVERY_SECONDS = 0.25
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
        self.changed = threading.Condition()
        self.broken: Exception | None = None
        self.closed = False
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
                points=[asdict(point) for point in batch], costs=[line.as_dict() for line in costs], progress=progress
            )

    def register(self, saved: port.Checkpoint) -> None:
        """Make a checkpoint count once everything before it is stored."""
        self._append(checkpoint=asdict(saved))

    def flush(self) -> None:
        """Wait until everything is stored, however long the database is away."""
        with self.changed:
            self.changed.wait_for(lambda: self.broken or not self.spool.waiting)
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
        pause = threading.Event()
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
            with self.changed:
                self.spool.drop(lines[:stored])
                self.changed.notify_all()
            pause.wait(EVERY_SECONDS)
        port.reconnect()

    def _deliver(self, lines: Sequence[bytes]) -> int:
        """Store as many lines as one transaction takes; how many were stored, none while the database is away."""
        entries = [json.loads(line) for line in lines]
        try:
            if "checkpoint" in entries[0]:
                self._register(port.Checkpoint(**entries[0]["checkpoint"]))
                return 1
            batch = entries[: next((i for i, entry in enumerate(entries) if "checkpoint" in entry), len(entries))]
            points = [Point(**point) for entry in batch for point in entry["points"]]
            costs = [CostLine(**line | {"purpose": Purpose(line["purpose"])}) for line in batch[-1]["costs"]]
            port.record(self.lease, points, costs, batch[-1]["progress"])
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
