"""What the address of a compare page asks for: its whole state, read leniently, so that an old link still opens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from django.http import QueryDict

from webapp.results.comparison import Unit

Member = TypeVar("Member", bound=StrEnum)


class Tab(StrEnum):
    CURVES = "curves"
    SAVINGS = "savings"
    FRONTIER = "frontier"
    LEDGER = "ledger"
    EVALUATION = "evaluation"
    CONFIGURATION = "configuration"


class Overheads(StrEnum):
    """Whether a frontier's cost includes what is not a plain training step."""

    WITH = "with"
    WITHOUT = "without"


class Goal(StrEnum):
    """Which of the target losses the forest plot is drawn at: the baseline's at this percentage of its cost."""

    FINAL = "100"
    LATE = "85"
    MIDDLE = "70"
    EARLY = "50"

    @property
    def share(self) -> float:
        return int(self.value) / 100

    @property
    def label(self) -> str:
        return "final loss" if self is Goal.FINAL else f"loss at {self.value}% of its cost"


class Scale(StrEnum):
    """Ledger bars: in percent of the baseline's training cost, or in their unit."""

    PERCENT = "percent"
    ABSOLUTE = "absolute"


class Sources(StrEnum):
    """Whether making inherited weights is part of the cost, or was paid anyway."""

    CHARGED = "charged"
    SUNK = "sunk"


@dataclass(frozen=True, slots=True)
class Ask:
    """One view of the page; hashable, so that it names a drawn page.

    `quality` and `sort`, a column of the evaluation matrix, are judged by the comparison they meet.
    """

    tab: Tab = Tab.CURVES
    unit: Unit = Unit.EXECUTED
    overheads: Overheads = Overheads.WITH
    quality: str = ""
    scale: Scale = Scale.PERCENT
    sources: Sources = Sources.CHARGED
    sort: str = ""
    goal: Goal = Goal.FINAL

    @classmethod
    def read(cls, query: QueryDict) -> Ask:
        """An unknown or missing name means the first."""
        return cls(
            _choice(Tab, query.get("tab")),
            _choice(Unit, query.get("unit")),
            _choice(Overheads, query.get("overheads")),
            query.get("quality", "")[:200],
            _choice(Scale, query.get("scale")),
            _choice(Sources, query.get("sources")),
            query.get("sort", "")[:200],
            _choice(Goal, query.get("goal")),
        )


def _choice(kind: type[Member], value: str | None) -> Member:
    members: Iterable[Member] = kind
    return next((member for member in members if member.value == value), next(iter(kind)))
