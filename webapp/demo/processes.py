"""Child processes that die with us: started with a log, watched, restarted when they fall, stopped in reverse order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

STEADY = 60.0
"""Seconds after which a restart counts as a success."""
PATIENCE = 6
"""Deaths in a row after which a service is given up."""
_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)


class Fallen(RuntimeError):
    """A service dies as often as it is started."""


def spawn(
    command: Sequence[str | Path], *, log: Path, farewell: signal.Signals, **options: Any
) -> subprocess.Popen[bytes]:
    """Start `command` in its own session, appending to `log`; the kernel sends it `farewell` should we be killed."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def follow_parent() -> None:
        if libc is not None:
            libc.prctl(_SET_PARENT_DEATH_SIGNAL, int(farewell))

    with log.open("ab") as sink:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
            preexec_fn=follow_parent,  # noqa: PLW1509 one system call, nothing that takes a lock
            **options,
        )  # fmt: skip


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, for a report."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


class Service(Protocol):
    """What a fleet looks after: a child of ours or an embedded server."""

    process: subprocess.Popen[bytes] | None

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...


@dataclass
class Child:
    """A program of ours; SIGTERM asks it to finish, after `grace` seconds its whole process group is killed."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 30.0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, **self.environment}
        self.process = spawn(self.command, log=self.log, farewell=signal.SIGTERM, env=environment)

    def ask(self) -> None:
        """Ask it to end, without waiting."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        self.ask()
        if self.process is None:
            return
        try:
            self.process.wait(self.grace)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class _Falls:
    """How often a service has died lately, and when it is started again."""

    count: int = 0
    due: float = 0.0
    pending: bool = False


class Fleet:
    """The services of one demo, in the order in which they need each other."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say, self.clock = say, clock
        self.services: list[Service] = []
        self._falls: dict[str, _Falls] = {}

    def start(self, service: Service) -> None:
        self.services.append(service)
        service.start()

    def mend(self) -> None:
        """Report what has died and start it again: at once, then after 4, 8, 16 and 30 s until it stays up."""
        now = self.clock()
        for service in self.services:
            falls = self._falls.setdefault(service.name, _Falls())
            if service.process is None or service.process.poll() is None:
                if now > falls.due + STEADY:
                    falls.count = 0
                continue
            if not falls.pending:
                falls.count, falls.pending = falls.count + 1, True
                if falls.count >= PATIENCE:
                    raise Fallen(f"{service.name} does not stay up. {service.log}:\n{tail(service.log)}")
                falls.due = now + (0.0 if falls.count == 1 else min(2.0**falls.count, 30.0))
                self.say(f"{service.name} ended with {service.process.returncode}; starting it again. {service.log}:")
                self.say(tail(service.log))
            if falls.due <= now:
                falls.pending = False
                service.start()

    def stop(self) -> None:
        """Our own programs all at once, then the servers, the last started first."""
        for service in reversed(self.services):
            if isinstance(service, Child):
                service.ask()
        for service in reversed(self.services):
            service.stop()
            if isinstance(service, Child) and service.process and service.process.returncode == -signal.SIGKILL:
                self.say(f"{service.name} did not end within {service.grace:.0f} s and was killed. {service.log}:")
                self.say(tail(service.log))
