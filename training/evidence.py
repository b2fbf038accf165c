"""What was measured when a card's reproduction ran: `evidence.json` beside the card, with the runs behind each number.

Torch-free. Written by `benchmarks/replicate.py`, never by hand: a test holds means, digests and bars against the runs.
"""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field

import training.methods
from training import catalog
from training.knobs import Strict
from training.spec import RunSpec

NAME = "evidence.json"


class MeasuredRun(Strict):
    """One seed. `evaluations` are steps, executed FLOPs and validation loss; `weights` is the SHA-256 of its file.

    Effective FLOPs are None where the evidence is older than their record.
    """

    code: str
    seed: int
    weights: str = Field(pattern=r"^[0-9a-f]{64}$")
    executed_flops: float
    effective_flops: float | None = None
    wall_seconds: float
    evaluations: tuple[tuple[int, float, float], ...] = Field(min_length=1)

    @property
    def loss(self) -> float:
        return self.evaluations[-1][2]


class MeasuredArm(Strict):
    """An arm with its runs; `loss` is the mean of their final losses, `stderr` its standard error over the seeds."""

    label: str
    spec: RunSpec
    digest: str
    loss: float
    stderr: float
    executed_flops: float
    runs: tuple[MeasuredRun, ...] = Field(min_length=3)


class MeasuredSaving(Strict):
    """Executed FLOPs saved to reach the baseline's final loss, as a share; a 95 % interval over `n` seeds."""

    target: float
    value: float | None
    low: float | None
    high: float | None
    interval: str
    n: int
    bound: Literal["", "at least", "at most"]
    note: str


class MeasuredBar(Strict):
    """A bar of the card, and what was measured against it."""

    text: str
    value: float
    at_least: float | None
    at_most: float | None
    passed: bool


class Evidence(Strict):
    """Everything that the method's page says of our measurement. The first arm is the baseline."""

    method: str
    measured: date
    command: str
    revision: str
    device: str
    threads: int
    experiment: str
    judged: str
    arms: tuple[MeasuredArm, ...]
    saving: MeasuredSaving
    verdict: str
    words: tuple[str, ...]
    bars: tuple[MeasuredBar, ...]

    def arm(self, label: str) -> MeasuredArm:
        return next(arm for arm in self.arms if arm.label == label)

    @property
    def passed(self) -> tuple[MeasuredBar, ...]:
        return tuple(bar for bar in self.bars if bar.passed)

    def written(self) -> str:
        """As JSON, with each evaluation on one line."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
        return re.sub(r"\[\s+(-?[\d.e+]+(?:,\s+-?[\d.e+]+)*)\s+\]", _on_one_line, text) + "\n"


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


def path(method: str) -> Path:
    """Where a method's evidence lies; KeyError if there is no such method."""
    catalog.card(method)
    return Path(training.methods.__path__[0]) / method / NAME


def evidence(method: str) -> Evidence | None:
    """What was measured; None where nobody has run the reproduction."""
    file = path(method)
    return Evidence.model_validate_json(file.read_bytes()) if file.exists() else None


def keep(found: Evidence) -> Path:
    """Write it beside the card."""
    file = path(found.method)
    file.write_text(found.written())
    return file


def setting(spec: RunSpec) -> str:
    """Where a measurement stands, in words, to read beside the paper's."""
    data, amount = spec.data, spec.steps() * spec.tokens_per_step
    cut = f" vocabulary {data.vocab_size:,}, context {data.context}," if spec.unit == "token" else ""
    return (
        f"{spec.model.preset} ({spec.shape.summary}, {spec.shape.parameters / 1e6:.2g} M parameters) on {data.source},"
        f"{cut} {spec.steps():,} steps or {amount / 1e6:.2g} M {spec.unit}s, {spec.precision}"
    )
