"""What a study knows of its runs, as plain values. Torch-free.

A study is two pure functions: `ask(knobs, base, history)` says which runs it wants next, none when it is done, and
`conclude(knobs, history)` says what they told. It starts no run itself.
"""

from __future__ import annotations

from pydantic import Field

from training.knobs import Strict
from training.spec import RunSpec


class Trace(Strict):
    """One run that is over, as the history of a study has it."""

    code: str
    spec: RunSpec
    seed: int
    failure: str = ""
    """Why it did not succeed; empty if it did."""
    curves: dict[str, tuple[tuple[int, float], ...]] = Field(default_factory=dict)
    """`<phase>/<series>` to its steps and values."""
    costs: dict[str, float] = Field(default_factory=dict)
    """`<phase>/<purpose>` to executed FLOPs."""
    seconds: float = 0.0
    """Of training."""

    @property
    def succeeded(self) -> bool:
        return not self.failure


class Finding(Strict):
    """What any study concludes; each adds its own."""

    runs: int
    """Of the history, failed ones among them."""
    failures: tuple[tuple[str, str], ...]
    """Code of each run that did not succeed, and why."""
    missing: str
    """Why nothing could be concluded; empty if something was."""
    warnings: tuple[str, ...]


def failures(history: tuple[Trace, ...]) -> tuple[tuple[str, str], ...]:
    """Of the runs that did not succeed."""
    return tuple((trace.code, trace.failure) for trace in history if trace.failure)
