"""Shows the demo experiment while it runs, and keeps its services alive meanwhile."""

from __future__ import annotations

import sys
import time

from django.db import OperationalError, connection

from webapp.demo import report
from webapp.demo.processes import Fleet
from webapp.experiments.models import Experiment
from webapp.runs.models import TERMINAL, Run, State

TICK = 1.0
QUIET = 30.0
"""Seconds between tables where the output is not a terminal and no state changes."""


class Screen:
    """Draws over the last table on a terminal; elsewhere prints when something happened."""

    def __init__(self) -> None:
        self.drawn = 0
        self._last: tuple[float, tuple[str, ...]] = (float("-inf"), ())

    def say(self, text: str) -> None:
        """Print a lasting line."""
        print(text, flush=True)  # noqa: T201 this program's output is the terminal
        self.drawn = 0

    def draw(self, text: str, states: tuple[str, ...]) -> None:
        if sys.stdout.isatty():
            above = f"\x1b[{self.drawn}F\x1b[J" if self.drawn else ""
            self.say(above + text)
            self.drawn = text.count("\n") + 1
        elif states != self._last[1] or time.monotonic() > self._last[0] + QUIET:
            self.say(text + "\n")
            self._last = time.monotonic(), states


def follow(experiment: Experiment, fleet: Fleet, screen: Screen, *, until_done: bool) -> int:
    """Watch until the experiment has ended, for good where not `until_done`; 1 if any run did not succeed."""
    told = False
    while True:
        fleet.mend()
        try:
            states = tuple(
                Run.objects.filter(arm__experiment=experiment).order_by("id").values_list("state", flat=True)
            )
            if not told:
                screen.draw(report.progress(experiment), states)
            if all(state in TERMINAL for state in states):
                if not told:
                    screen.say("\n" + "\n".join([report.comparison(experiment), report.failures(experiment)]))
                    told = True
                if until_done:
                    return int(any(state != State.SUCCEEDED for state in states))
        except OperationalError:  # the database is being restarted
            connection.close()
        time.sleep(TICK)
