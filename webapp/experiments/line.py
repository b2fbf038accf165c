"""The queue as it stands, to say when runs that join it now would start and end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from webapp.experiments.forecast import Range, alive
from webapp.experiments.schedule import Slot, Waiting, played
from webapp.runs.models import ACTIVE, Run, State

FORECAST = tuple(f"forecast__{name}" for name in ("low", "seconds", "high", "evaluation", "startup"))


@dataclass(frozen=True)
class Queued:
    """A run of somebody: held by a worker, or waiting. Without a forecast it counts as the mean of ours."""

    project: int
    priority: int
    left: float
    """Share that is still to be done."""
    span: Range | None

    def seconds(self, level: str, typical: float) -> float:
        whole: float = getattr(self.span, level) if self.span else typical
        return self.left * whole


@dataclass(frozen=True)
class Line:
    """Workers, what they hold, and what waits, oldest first."""

    slots: tuple[Queued | None, ...]
    waiting: tuple[Queued, ...]

    @classmethod
    def of(cls, queue: str) -> Line:
        runs = Run.objects.filter(queue=queue, cancel_requested_at=None)
        names = ("lease_owner", "arm__experiment__project", "priority", "progress", *FORECAST)
        held = {owner: _queued(*rest) for owner, *rest in runs.filter(state__in=ACTIVE).values_list(*names)}
        workers = alive(queue).filter(draining=False).values_list("name", flat=True)
        waiting = runs.filter(state=State.QUEUED, pause_requested_at=None).order_by("pk").values_list(*names)
        return cls(tuple(map(held.get, workers)), tuple(_queued(*rest) for _, *rest in waiting))

    @property
    def ahead(self) -> int:
        """Runs that hold or wait for these workers."""
        return len(self.waiting) + sum(held is not None for held in self.slots)

    def times(self, project: int | None, ours: Sequence[Range]) -> tuple[float, Range] | None:
        """Until our first run starts, and until our last one ends; None without workers or runs."""
        if not self.slots or not ours:
            return None
        ends = {level: self._played(project, ours, level) for level in ("low", "mid", "high")}
        last = {level: max(end for _, end in times) for level, times in ends.items()}
        return min(start for start, _ in ends["mid"]), Range(**last)

    def _played(self, project: int | None, ours: Sequence[Range], level: str) -> list[tuple[float, float]]:
        mean = statistics.fmean(getattr(span, level) for span in ours)
        slots = [Slot() if held is None else Slot(held.seconds(level, mean), held.project) for held in self.slots]
        before = [Waiting(run.project, run.seconds(level, mean), run.priority) for run in self.waiting]
        new = [Waiting(-1 if project is None else project, getattr(span, level)) for span in ours]
        return played(slots, before + new)[len(before) :]


def _queued(project: int, priority: int, progress: float, *forecast: float | None) -> Queued:
    """`forecast` are the values of FORECAST, all None where a run has none."""
    low, mid, high, evaluation, startup = (value or 0.0 for value in forecast)
    rest = evaluation + startup
    return Queued(project, priority, 1 - progress, Range(low + rest, mid + rest, high + rest) if mid else None)
