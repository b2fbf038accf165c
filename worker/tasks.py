"""What a wake-up does. Bodies only delegate."""

from __future__ import annotations

from celery import Task

from webapp.celery import app
from webapp.runs import queue
from worker import device, supervise


@app.task(name=queue.WAKE, bind=True)
def wake(self: Task[[str], None], queue_name: str) -> None:
    """Claim and supervise runs of this queue until none is left; a late or doubled wake-up finds none."""
    supervise.work(queue_name, device.Slot.of(str(self.request.hostname)))
