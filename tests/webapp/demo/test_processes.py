"""Children end with their parent, come back when they fall, and never outlive a stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import psutil
import pytest

from webapp.demo.processes import PATIENCE, Child, Fallen, Fleet, tail

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = """
import sys, time
from pathlib import Path
from webapp.demo.processes import Child
child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], Path(sys.argv[1]))
child.start()
print(child.process.pid, flush=True)
time.sleep(60)
"""


def until(fact: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not fact() and time.monotonic() < end:
        time.sleep(0.02)
    return fact()


def started(child: Child) -> Child:
    child.start()
    assert until(lambda: "up" in tail(child.log))
    return child


def test_child_is_asked_and_ends(tmp_path: Path) -> None:
    child = started(Child("sleeper", SLEEP, tmp_path / "log"))
    child.stop()
    assert child.process is not None
    assert child.process.returncode == -signal.SIGTERM


def test_child_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = started(Child("stubborn", [sys.executable, "-c", STUBBORN], tmp_path / "log", grace=0.2))
    child.stop()
    assert child.process is not None
    assert child.process.returncode == -signal.SIGKILL


def test_fleet_says_who_had_to_be_killed(tmp_path: Path) -> None:
    said: list[str] = []
    fleet = Fleet(said.append)
    fleet.start(Child("sleeper", SLEEP, tmp_path / "sleeper"))
    stubborn = Child("stubborn", [sys.executable, "-c", STUBBORN], tmp_path / "stubborn", grace=0.2)
    fleet.start(stubborn)
    assert until(lambda: "up" in tail(stubborn.log))
    fleet.stop()
    assert said == [f"stubborn did not end within 0 s and was killed. {stubborn.log}:", "up"]


def test_child_gets_its_own_environment(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['PLACE'])"]
    child = Child("slot", command, tmp_path / "log", {"PLACE": "cpu-1"})
    child.start()
    assert until(lambda: tail(child.log) == "cpu-1")


def test_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_fleet_reports_a_death_with_its_log_and_starts_again(tmp_path: Path) -> None:
    said: list[str] = []
    fleet = Fleet(said.append)
    child = Child("sleeper", SLEEP, tmp_path / "log")
    fleet.start(child)
    assert until(lambda: "up" in tail(child.log))
    first = child.process
    assert first is not None
    first.kill()
    first.wait()
    fleet.mend()
    try:
        assert child.process is not first
        assert said == [f"sleeper ended with -9; starting it again. {child.log}:", "up"]
    finally:
        fleet.stop()


def test_fleet_gives_up_on_what_does_not_stay_up(tmp_path: Path) -> None:
    looks = count(step=31.0)  # each look is later than any wait, and earlier than a minute
    fleet = Fleet(lambda text: None, clock=lambda: next(looks))
    child = Child("broken", [sys.executable, "-c", "raise SystemExit('no settings')"], tmp_path / "log")
    fleet.start(child)

    def look() -> None:
        assert child.process is not None
        child.process.wait()
        fleet.mend()

    for _ in range(2 * PATIENCE - 3):  # one look finds the death, the next one starts it again; the first does both
        look()
    with pytest.raises(Fallen, match="no settings"):
        look()


def test_fleet_stops_the_last_started_first(tmp_path: Path) -> None:
    order: list[str] = []

    class Noted(Child):
        def stop(self) -> None:
            order.append(self.name)
            super().stop()

    fleet = Fleet(lambda text: None)
    for name in ("server", "web", "worker"):
        fleet.start(Noted(name, SLEEP, tmp_path / name))
    fleet.stop()
    assert order == ["worker", "web", "server"]
