"""The bill of a run: FLOPs, seconds, examples and tokens by (phase, purpose).

A step is counted once per live-network signature and batch shape, then replayed, so that counting costs nothing. Work
of hooks is counted likewise, apart from the step. A second and a FLOP are booked once: `spend` inside a step, or inside
another `spend`, takes its own out of what is around it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from training.account import Uncounted
from training.flops import Tally, counted, kind
from training.records import OUTSIDE_TRAINING, CostLine, Purpose

ELSEWHERE = "elsewhere"
"""What a booking inside a step took out of it."""


class Ledger:
    """Executed and effective FLOPs side by side, never merged."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, Purpose], CostLine] = {}
        self._measured: dict[str, dict[str, float]] = {}
        self._live: tuple[Tally, dict[str, float]] | None = None
        self._uncounted: dict[tuple[str, str, str], Uncounted] = {}
        self.apart = 0.0

    def line(self, phase: str, purpose: Purpose) -> CostLine:
        return self.lines.setdefault((phase, purpose), CostLine(phase, purpose))

    @contextmanager
    def step(
        self,
        phase: str,
        key: str,
        discount: Callable[[], float] = lambda: 1.0,
        part: str = "step",
        purpose: Purpose = Purpose.TRAIN,
    ) -> Iterator[dict[str, float]]:
        """Book one training step, or its hooks; yields its FLOPs by purpose, filled when the block ends.

        What is not named otherwise is for `purpose`. `key` names everything that the count depends on: the live part
        of the network and the batch's shape; `discount` tells, once the step is done, which share of it ideal hardware
        would execute.
        """
        key = f"{phase}|{key}" if part == "step" else f"{phase}|{part}|{key}"
        cost: dict[str, float] = {}
        if key in self._measured:
            yield cost
        else:
            with counted() as counter:
                self._live = counter, {}
                yield cost
                parts, self._live = self._live[1], None
            parts[purpose] = parts.get(purpose, 0.0) + counter.get_total_flops() - sum(parts.values())
            parts.pop(ELSEWHERE, None)
            self._measured[key] = parts
            self._list(phase, part, counter)
        cost.update(self._measured[key])
        share = discount()
        for booked, flops in cost.items():
            line = self.line(phase, Purpose(booked))
            line.executed += flops
            line.effective += flops * share

    @contextmanager
    def within(self, purpose: str) -> Iterator[None]:
        """Name a part of a step by its purpose, e.g. the teacher's forward pass."""
        if self._live is None:
            yield
            return
        counter, parts = self._live
        before = counter.get_total_flops()
        yield
        parts[purpose] = parts.get(purpose, 0.0) + counter.get_total_flops() - before

    @contextmanager
    def spend(self, phase: str, purpose: Purpose, key: str = "") -> Iterator[None]:
        """Book work outside a step: scoring, growing, evaluating. With a `key` it is counted once, then replayed."""
        start, before, name = time.perf_counter(), self.apart, f"{phase}|{purpose}|{key}"
        known = key and name in self._measured
        with self.within(ELSEWHERE), nullcontext() if known else counted() as counter:
            yield
        flops = self._measured[name][purpose] if counter is None else float(counter.get_total_flops())
        if counter is not None:
            self._list(phase, purpose, counter)
        if key:
            self._measured[name] = {purpose: flops}
        line = self.line(phase, purpose)
        line.executed += flops
        line.effective += flops
        seconds, inner = time.perf_counter() - start, self.apart - before
        line.wall_seconds += seconds - inner
        self.apart = before + seconds

    def _list(self, phase: str, part: str, counter: Tally) -> None:
        """Keep what ran without a formula; of several signatures, the one with the most calls."""
        for packet, (calls, elements) in counter.uncounted.items():
            key = phase, part, str(packet)
            if key not in self._uncounted or self._uncounted[key].calls < calls:
                self._uncounted[key] = Uncounted(
                    phase=phase, part=part, operator=str(packet), kind=kind(packet), calls=calls, elements=elements
                )

    @property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """Operators without a formula, by phase and part."""
        return tuple(self._uncounted.values())

    @property
    def signatures(self) -> dict[str, int]:
        """How many counts each phase rests on; everything else was replayed."""
        return dict(Counter(key.partition("|")[0] for key in self._measured))

    @property
    def training(self) -> tuple[float, int, float]:
        """Executed FLOPs, tokens and wall seconds of training so far: evaluation and redone work left out."""
        inside = [line for (_, purpose), line in self.lines.items() if purpose not in OUTSIDE_TRAINING]
        return (
            sum(line.executed for line in inside),
            sum(line.tokens for line in inside),
            sum(line.wall_seconds for line in inside),
        )

    @property
    def effective(self) -> float:
        """Effective FLOPs of training so far."""
        return sum(line.effective for (_, purpose), line in self.lines.items() if purpose not in OUTSIDE_TRAINING)

    def state_dict(self) -> dict[str, Any]:
        return {
            "lines": [line.as_dict() for line in self.lines.values()],
            "measured": self._measured,
            "uncounted": [operator.model_dump() for operator in self.uncounted],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        lines = [CostLine(**{**line, "purpose": Purpose(line["purpose"])}) for line in state["lines"]]
        self.lines = {(line.phase, line.purpose): line for line in lines}
        self._measured = state["measured"]
        listed = [Uncounted.model_validate(operator) for operator in state.get("uncounted", [])]
        self._uncounted = {(operator.phase, operator.part, operator.operator): operator for operator in listed}
