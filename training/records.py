"""What a run tells the outside: points, cost lines, scores. Plain values, torch-free."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Purpose(StrEnum):
    """Why FLOPs were spent; a closed set, so that bills of different methods compare.

    `eval` is outside training cost, `adapt` is inference, `redone` is work lost to a crash and done again.
    """

    TRAIN = "train"
    DISTILL = "distill"
    ATTACK = "attack"
    META = "meta"
    SELECT = "select"
    LABEL = "label"
    GROW = "grow"
    SOURCE = "source"
    EVAL = "eval"
    ADAPT = "adapt"
    REDONE = "redone"


OUTSIDE_TRAINING = frozenset({Purpose.EVAL, Purpose.ADAPT, Purpose.REDONE})
"""Purposes that a training cost leaves out; pages show them beside it."""


EFFECTIVE_SO_FAR = "cost/effective_flops"
"""The series of a run's effective training FLOPs so far, at each evaluation; left out where they are the executed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one series; cost columns are the run's totals so far, `eval` and `redone` left out."""

    phase: str
    name: str
    step: int
    value: float
    flops: float
    tokens: int
    seconds: float


@dataclass(slots=True)
class CostLine:
    """The bill of one (phase, purpose): executed and effective FLOPs are never merged."""

    phase: str
    purpose: Purpose
    executed: float = 0.0
    effective: float = 0.0
    wall_seconds: float = 0.0
    examples: int = 0
    tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Score:
    """One downstream or held-out score of the finished model."""

    task: str
    metric: str
    split: str
    value: float
    stderr: float | None
    n: int
    version: int
    higher_is_better: bool
    shots: int = 0
    chance: float | None = None
