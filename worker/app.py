"""The Celery worker of one slot: `celery -A worker.app worker --pool solo --queues gpu -n gpu0@%h`.

Solo, because the process that holds the slot is the supervisor: nothing forks, and one kill ends it.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from typing import Any

import django
from celery import bootsteps

from webapp.celery import app

django.setup()

from django.conf import settings  # noqa: E402 the settings exist from here on
from django.db import Error  # noqa: E402

from webapp.runs import port  # noqa: E402
from worker import device  # noqa: E402

log = logging.getLogger(__name__)
app.conf.imports = (*app.conf.imports, "worker.tasks")


class Presence(bootsteps.StartStopStep):
    """Registers the worker, measures its device once, and tells the database every few seconds that it lives."""

    def __init__(self, parent: Any, **options: Any) -> None:
        self.slot, self.ended = device.Slot.of(parent.hostname), threading.Event()
        self.queues = ",".join(options.get("queues") or ()) or self.slot.kind
        super().__init__(parent, **options)

    def start(self, parent: Any) -> None:
        threading.Thread(target=self._live, name="presence", daemon=True).start()

    def stop(self, parent: Any) -> None:
        self.ended.set()

    def _live(self) -> None:
        self._tell(device.describe(self.slot))
        try:
            self._tell(device.measure(self.slot))
        except (OSError, ValueError, subprocess.SubprocessError):
            log.exception("the device could not be measured")
        while not self.ended.wait(settings.HEARTBEAT_SECONDS):
            try:
                port.worker_alive(self.slot.worker)
            except Error as failure:
                log.warning("heartbeat failed: %s", failure)
                port.reconnect()

    def _tell(self, described: dict[str, Any]) -> None:
        while not self.ended.is_set():
            try:
                return port.register(self.slot.worker, self.queues, described)
            except Error as failure:
                log.warning("cannot register: %s", failure)
                port.reconnect()
                self.ended.wait(1.0)


app.steps["worker"].add(Presence)
