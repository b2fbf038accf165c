"""The socket pair between a supervisor and its trainer.

Downwards it carries `stop` and, by ending, the news that the supervisor died; upwards one byte per sign of progress.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time

ORPHANED = 70
"""Exit code of a trainer whose supervisor is gone."""
STEP, QUIET, STOP = b".", b"q", b"s"
PULSE_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


class LifeLine:
    """The trainer's end. Implements the lab's `Control`."""

    def __init__(self, descriptor: int) -> None:
        self.socket = socket.socket(fileno=descriptor)
        self.asked = threading.Event()
        self._told = 0.0
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        threading.Thread(target=self._listen, name="lifeline", daemon=True).start()

    def should_stop(self) -> bool:
        """Asked once per step, and so the sign of progress."""
        now = time.monotonic()
        if now - self._told >= PULSE_SECONDS:
            self._told = now
            self._say(STEP)
        return self.asked.is_set()

    def quiet(self) -> None:
        """Steps are over: scoring takes its time."""
        self._say(QUIET)

    def _say(self, word: bytes) -> None:
        try:
            self.socket.send(word, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # the supervisor has unread signs of progress enough
        except OSError:
            os._exit(ORPHANED)

    def _listen(self) -> None:
        try:
            while self.socket.recv(16):
                self.asked.set()
        finally:
            os._exit(ORPHANED)
