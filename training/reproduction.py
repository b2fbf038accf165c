"""What a card asks to be run to check its claims: arms, seeds, and bars that the result must clear. Torch-free.

A card declares its `Reproduction`; `benchmarks/replicate.py` runs it and writes `evidence.json` beside the card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol


@dataclass(frozen=True)
class Variant:
    """An arm: what it changes in the shared spec."""

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    flops_of: str = ""
    """Label of the arm whose executed FLOPs are this one's budget; empty keeps the shared budget."""


class Gap(NamedTuple):
    """Mean difference over seeds and its 95 % interval."""

    mean: float
    low: float
    high: float


class Measured(Protocol):
    """What a bar may ask of the finished arms; all of it is a mean over the seeds."""

    def loss_at(self, arm: str, progress: float) -> float:
        """Validation loss of the whole network at the first evaluation from this share of the budget on."""

    def gap(self, arm: str, against: str) -> Gap:
        """Final validation loss less that of the other arm, in nats, paired by seed."""

    def block_flops(self, arm: str) -> float:
        """Counted training FLOPs of the blocks of one run, without the head."""

    def cost(self, arm: str, unit: Literal["executed", "effective", "seconds", "tokens"]) -> float:
        """Training cost of one run: FLOPs, seconds of wall clock, or tokens (images)."""

    def score(self, arm: str, test: str) -> float:
        """A score of the finished model by its `task metric`, e.g. `image_classification accuracy`."""

    def score_gap(self, arm: str, test: str, against: str, other: str = "") -> Gap:
        """Score less that of the other arm, paired by seed; `other` where that one is another test."""


@dataclass(frozen=True)
class Bar:
    """What the card expects: `measure` lies within the limits."""

    text: str
    measure: Callable[[Measured], float]
    at_least: float | None = None
    at_most: float | None = None

    def passes(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@dataclass(frozen=True)
class Reproduction:
    """The experiment, the first arm being the baseline; `judged` is the arm that stands for the method."""

    spec: Mapping[str, Any]
    arms: tuple[Variant, ...]
    judged: str
    bars: tuple[Bar, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    scale: Literal["small", "full"] = "small"
    """`small` runs on two CPU cores within minutes; `full` needs the paper's hardware."""
