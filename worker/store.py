"""The lab's store: checkpoints in the attempt's own folder, made to count by a row, found again by later attempts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from django.conf import settings

from training.checkpoint import Damaged, read, write
from training.records import CostLine, Purpose
from webapp.runs import port
from worker.sink import Outbox

log = logging.getLogger(__name__)
MISSES = 3
"""Checkpoints in a row that may fail for want of space before the attempt does."""


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Checkpoints:
    """Loads what the newest sound checkpoint knew, saves beside it."""

    def __init__(self, lease: port.Lease, outbox: Outbox) -> None:
        self.lease, self.outbox = lease, outbox
        self.home, self.root = port.folder(lease) / "checkpoints", Path(settings.ARTIFACT_ROOT)
        self.known = port.checkpoints(lease)
        self.saved = self.missed = 0

    def resume(self) -> port.Checkpoint | None:
        """Rewind the run to its newest sound checkpoint, or to its start; what is newer and damaged is struck."""
        while self.known:
            newest = self.known[0]
            if (state := self._read(newest)) is not None:
                lines = [CostLine(**line | {"purpose": Purpose(line["purpose"])}) for line in state["ledger"]["lines"]]
                port.rewind(self.lease, newest.event, lines)
                return newest
        if self.lease.attempt > 1:
            port.rewind(self.lease, 0, [])
        return None

    def load(self, name: str) -> Any | None:
        for saved in [saved for saved in self.known if saved.name == name]:
            if (state := self._read(saved)) is not None:
                return state
        return None

    def save(self, name: str, state: Any, *, step: int) -> None:
        """Write now, count later: the row follows in the order of the points."""
        folder = self.home / f"{self.saved:06d}-{name}"
        try:
            sha256 = write(folder, state, name=name, step=step, fence=self.lease.fence, run=self.lease.code)
        except OSError as failure:
            self.missed += 1
            log.warning("checkpoint at step %s failed: %s", step, failure)
            if self.missed >= MISSES:
                raise
            return
        self.saved, self.missed = self.saved + 1, 0
        path = str(folder.relative_to(self.root))
        self.outbox.register(port.Checkpoint(name, path, step, 0, size(folder), sha256))

    def _read(self, saved: port.Checkpoint) -> Any | None:
        """The state of a checkpoint; a damaged one is struck from the list and from the database."""
        try:
            return read(self.root / saved.path)
        except Damaged as failure:
            log.warning("checkpoint %s is damaged, using an older one: %s", saved.path, failure)
            port.forget_checkpoint(self.lease, saved.path)
            self.known.remove(saved)
            return None
