"""A run's bill as its page shows it: shares, what was redone, the closed form beside the count, what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from training.account import Uncounted
from training.records import OUTSIDE_TRAINING, Purpose
from webapp.results.closed_forms import TOLERANCE
from webapp.runs.models import Attempt, CostLine, Run, State


@dataclass(frozen=True, slots=True)
class Entry:
    """A line, and what share of the training cost it is; what is not counted may be a share of it too."""

    line: CostLine
    executed: float | None
    effective: float | None
    seconds: float | None

    @property
    def counted(self) -> bool:
        return self.line.purpose not in OUTSIDE_TRAINING


class Redone(NamedTuple):
    """Work that interruptions made the run do twice; `share` is of the training FLOPs."""

    executed: float
    seconds: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """FLOPs per token or image of the training steps, by the closed form of the arm and as counted."""

    planned: float
    counted: float

    @property
    def error(self) -> float:
        """Counted over planned, less one."""
        return self.counted / self.planned - 1

    @property
    def is_fault(self) -> bool:
        return abs(self.error) > TOLERANCE


def entries(lines: Sequence[CostLine]) -> list[Entry]:
    """Training first, then what is not counted; redone work last."""
    names = ("executed", "effective", "wall_seconds")
    training = [line for line in lines if line.purpose not in OUTSIDE_TRAINING]
    whole = {name: sum(getattr(line, name) for line in training) for name in names}
    shares = [[getattr(line, name) / whole[name] if whole[name] else None for name in names] for line in lines]
    found = [Entry(line, *share) for line, share in zip(lines, shares, strict=True)]
    return sorted(found, key=lambda entry: (not entry.counted, entry.line.purpose == Purpose.REDONE))


def redone(lines: Sequence[CostLine]) -> Redone | None:
    """Of all phases together; None where nothing had to be done again."""
    again = [line for line in lines if line.purpose == Purpose.REDONE]
    executed = sum(line.executed for line in again)
    training = sum(line.executed for line in lines if line.purpose not in OUTSIDE_TRAINING)
    share = executed / training if training else None
    return Redone(executed, sum(line.wall_seconds for line in again), share) if again else None


def check(run: Run, lines: Iterable[CostLine]) -> Check | None:
    """None before the run has ended: the closed form is a mean over the whole run, stages included."""
    trained = [line for line in lines if line.purpose not in OUTSIDE_TRAINING]
    tokens = sum(line.tokens for line in trained)
    if run.state != State.SUCCEEDED or not tokens:
        return None
    return Check(run.arm.spec.flops_per_trained_token(), sum(line.executed for line in trained) / tokens)


def uncounted(attempts: Iterable[Attempt]) -> list[Uncounted]:
    """Operators without a FLOP formula, products first, views and factories left out; once for all attempts."""
    told = {operator for attempt in attempts for operator in attempt.account.uncounted if operator.kind != "free"}
    return sorted(told, key=lambda operator: (operator.kind != "product", -operator.elements, operator.operator))
