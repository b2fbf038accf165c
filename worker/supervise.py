"""Claims runs and watches over their trainers. CUDA and torch never load here.

The trainer is a process in a session of its own; what it cannot say for itself, because it died, hangs or does not stop
when asked, is judged here from its exit.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from django.conf import settings
from django.db import Error

from webapp.runs import port
from worker import device
from worker.lifeline import ORPHANED, QUIET, STEP, STOP
from worker.log import CappedLog
from worker.sink import FENCED

log = logging.getLogger(__name__)
KILLED = (
    "; nobody here sent it, so most often it is the kernel, out of memory: a smaller batch, more micro-batches or "
    "fewer workers on this host need less"
)
LONGEST_ISOLATION = 1800.0
"""Seconds without the database after which a trainer only wastes its device."""


class Drain:
    """Whether this worker was asked to end: runs are released, none is claimed."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[Drain]:
        """Hear SIGTERM first, then let Celery hear it too."""
        before: Any = signal.getsignal(signal.SIGTERM)

        def hear(number: int, frame: Any) -> None:
            self.asked = True
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGTERM, hear)
        try:
            yield self
        finally:
            signal.signal(signal.SIGTERM, before)


def work(queue_name: str, slot: device.Slot) -> None:
    """Run after run, until the queue has none to claim or the worker is to end."""
    with Drain().listening() as drain:
        while not drain.asked and (lease := port.claim(queue_name, slot.worker)) is not None:
            log.info("run %s, attempt %s, fence %s", lease.code, lease.attempt, lease.fence)
            Watch(lease, slot, drain).until_it_ends()


class Watch:
    """One trainer from its start to the judgement of its exit."""

    def __init__(self, lease: port.Lease, slot: device.Slot, drain: Drain) -> None:
        self.lease, self.drain = lease, drain
        self.log = CappedLog(port.folder(lease) / "log.txt")
        self.line, theirs = socket.socketpair()
        environment = {"RUN": str(lease.run_id), "FENCE": str(lease.fence), "LIFELINE": str(theirs.fileno())}
        self.trainer = subprocess.Popen(
            [sys.executable, "-m", "worker.trainer"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True, pass_fds=[theirs.fileno()], bufsize=0,
            env=os.environ | slot.environment | environment, cwd=settings.BASE_DIR,
        )  # fmt: skip
        theirs.close()
        self.ears = DefaultSelector()
        self.ears.register(self.line, EVENT_READ, self._progress)
        self.ears.register(self.trainer.stdout, EVENT_READ, self._output)  # type: ignore[arg-type]
        now = time.monotonic()
        self.beaten = self.answered = self.heard = now
        self.stepped: float | None = None
        self.kill_at: float | None = None
        self.verdict = ""
        """What we did to it, where its exit alone would not tell."""

    def until_it_ends(self) -> None:
        try:
            while self.trainer.poll() is None:
                self._beat()
                self._listen(0.1)  # after a beat, which may have waited long for the database
                self._judge_time()
            self._listen(0.0)
        finally:
            self._kill()
            self.ears.close()
            self.line.close()
        self._settle()
        self.log.close()

    def _listen(self, seconds: float) -> None:
        for key, _ in self.ears.select(seconds):
            hear: Callable[[], None] = key.data
            hear()

    def _progress(self) -> None:
        try:
            words = self.line.recv(4096)
        except ConnectionError:
            words = b""
        if not words:
            self.ears.unregister(self.line)
        elif QUIET in words:
            self.stepped, self.heard = None, time.monotonic()
        elif STEP in words:
            self.stepped = time.monotonic()

    def _output(self) -> None:
        assert self.trainer.stdout is not None
        if data := self.trainer.stdout.read(65536):
            self.heard = time.monotonic()
            self.log.write(data)
        else:
            self.ears.unregister(self.trainer.stdout)

    def _beat(self) -> None:
        """Keep the lease, and hear what people want; a lost fence ends the trainer on the spot."""
        now = time.monotonic()
        if self.drain.asked:
            self._ask_to_stop()
        if now < self.beaten + settings.HEARTBEAT_SECONDS:
            return
        self.beaten = now
        try:
            orders = port.heartbeat(self.lease)
        except port.Fenced:
            self._leave()
        except Error as failure:
            log.warning("heartbeat failed: %s", failure)
            port.reconnect()
            if now > self.answered + LONGEST_ISOLATION:
                self.verdict = "isolated"
                self._kill()
        else:
            self.answered = now
            if orders.stop:
                self._ask_to_stop()

    def _leave(self) -> None:
        """The run is not ours any more: taken over, or ended by the trainer itself a moment ago."""
        with suppress(subprocess.TimeoutExpired):
            self.trainer.wait(1.0)
            return
        self.verdict = "fenced"
        self._kill()

    def _ask_to_stop(self) -> None:
        if self.kill_at is None:
            self.kill_at = time.monotonic() + settings.GRACE_SECONDS
            try:
                self.line.send(STOP)
            except OSError:
                log.info("the trainer ended before it could be asked to")

    def _judge_time(self) -> None:
        now = time.monotonic()
        if self.kill_at is not None and now > self.kill_at:
            self.verdict = self.verdict or "did_not_stop"
            self._kill()
        elif self.kill_at is None and self._hangs(now):
            self.verdict, self.stepped, self.kill_at = "stalled", None, now + 5.0
            self.trainer.send_signal(signal.SIGABRT)  # its stack goes to the log

    def _hangs(self, now: float) -> bool:
        """No step for too long; or, while it prepares or scores, no word in its log for much longer."""
        if self.stepped is not None:
            return bool(now > self.stepped + settings.STALL_SECONDS)
        return bool(now > self.heard + settings.QUIET_SECONDS)

    def _kill(self) -> None:
        """End the trainer's whole session, its own children included."""
        with suppress(ProcessLookupError):
            os.killpg(self.trainer.pid, signal.SIGKILL)
        self.trainer.wait()

    def _settle(self) -> None:
        """Write down what the trainer could not; if the database is away, the reaper does it later."""
        code = self.trainer.returncode
        log.info("run %s: the trainer ended with %s %s", self.lease.code, code, self.verdict)
        if self.verdict == "fenced" or (not self.verdict and code in (0, FENCED, ORPHANED)):
            return
        kind = self.verdict or (f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}")
        try:
            text = f"the trainer ended: {kind}{KILLED if code == -signal.SIGKILL and not self.verdict else ''}"
            port.crashed(self.lease, kind, text, signal=-code if code < 0 else None)
        except Error as failure:
            log.warning("the end of run %s is left to the reaper: %s", self.lease.code, failure)
            port.reconnect()
