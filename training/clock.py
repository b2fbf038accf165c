"""Where an attempt's wall clock goes. One segment runs at a time, so the segments sum to the whole by construction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum


class Segment(StrEnum):
    """What a second was used for; purposes say why FLOPs were spent, segments where time went."""

    STARTING = "starting"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    CHECKPOINTING = "checkpointing"
    SCORING = "scoring"
    FINISHING = "finishing"


class Clock:
    """Monotonic; starts in `starting`, with the seconds that had passed before it was made."""

    def __init__(self, already: float = 0.0) -> None:
        self._booked = {Segment.STARTING: already}
        self._segment, self._since = Segment.STARTING, time.monotonic()

    def turn(self, segment: Segment) -> None:
        """From now on, time belongs to this segment."""
        self._booked, self._segment, self._since = self.seconds, segment, time.monotonic()

    @contextmanager
    def during(self, segment: Segment) -> Iterator[None]:
        """Lend the clock to a segment; what runs inside is not part of the one around it."""
        before = self._segment
        self.turn(segment)
        try:
            yield
        finally:
            self.turn(before)

    @property
    def seconds(self) -> dict[Segment, float]:
        """By segment, the running one included."""
        passed = time.monotonic() - self._since
        return self._booked | {self._segment: self._booked.get(self._segment, 0.0) + passed}
