"""When waiting runs would start and end: the queue's claim order, played forward."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """A worker: seconds until it is free, and whose run it holds until then."""

    free: float = 0.0
    project: int | None = None


@dataclass(frozen=True)
class Waiting:
    """A run that will be claimed; among equals the first in the list is older."""

    project: int
    seconds: float
    priority: int = 0


def played(slots: Sequence[Slot], waiting: Sequence[Waiting]) -> list[tuple[float, float]]:
    """Start and end of each waiting run, in seconds from now: priority, fewest running runs of its project, age.

    Projects queue apart, so that a long queue is played in the time of its length.
    """
    if not slots:
        raise ValueError("a queue without workers never moves")
    lines: dict[tuple[int, int], deque[int]] = defaultdict(deque)
    for place, run in enumerate(waiting):
        lines[-run.priority, run.project].append(place)
    busy = Counter(slot.project for slot in slots if slot.project is not None)
    ends = [(slot.free, place, slot.project) for place, slot in enumerate(slots)]
    heapq.heapify(ends)
    times = [(0.0, 0.0)] * len(waiting)
    while lines:
        now, slot, held = heapq.heappop(ends)
        if held is not None:
            busy[held] -= 1
        chosen = min(lines, key=lambda line: (line[0], busy[line[1]], lines[line][0]))
        place = lines[chosen].popleft()
        if not lines[chosen]:
            del lines[chosen]
        run = waiting[place]
        times[place] = now, now + run.seconds
        busy[run.project] += 1
        heapq.heappush(ends, (now + run.seconds, slot, run.project))
    return times
