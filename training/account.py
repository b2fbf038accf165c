"""What an attempt says of itself beside its bill: where its wall clock went, and what ran without a FLOP formula."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from training.clock import Segment

Kind = Literal["product", "other", "elementwise", "free"]
"""`free` moves no number: views by their schema, and factories, which take no tensor. `elementwise` is what torch tags
pointwise. `product` multiplies matrices, by its name: without a formula the count is wrong. The rest is `other`."""


class Uncounted(BaseModel):
    """An operator that ran without a FLOP formula in one step, or booking, of a phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: str
    part: str
    operator: str
    kind: Kind
    calls: int
    elements: int


class Account(BaseModel):
    """Written by the trainer, stored with the attempt, read by the ledger's pages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock: dict[Segment, float] = Field(default_factory=dict)
    signatures: dict[str, int] = Field(default_factory=dict)
    uncounted: tuple[Uncounted, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall seconds that have a name."""
        return sum(self.clock.values())
