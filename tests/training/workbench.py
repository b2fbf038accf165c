"""Small real runs: a slice of the shipped corpus, the smallest network, a lab without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from training import assembly, catalog
from training.data import sotu, stdlib
from training.data.prepare import prepare
from training.knobs import Knobs
from training.lab import Cancelled, Lab
from training.outcome import Outcome
from training.records import CostLine, Point, Purpose
from training.spec import DataSpec, RunSpec

CPU = torch.device("cpu")
TEXT = {"source": "text:addresses.txt", "vocab_size": 512, "context": 32}
SMALLEST: dict[str, dict[str, Any]] = {
    "language_modelling": {"data": TEXT, "model": {"preset": "gpt2-nano"}},
    "text_mixture": {"data": {**TEXT, "domain": "text:modules.txt"}, "model": {"preset": "gpt2-nano"}},
    "span_corruption": {"data": TEXT, "model": {"preset": "t5-nano"}},
    "image_classification": {"data": {"source": "digits"}, "model": {"preset": "resnet8"}},
}
"""By task: the smallest network on the smallest data."""


@dataclass
class Memory:
    """Sink, store and control of a run in one process; `stop_every` interrupts it like a worker that is drained."""

    states: dict[str, Any] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    costs: Sequence[CostLine] = ()
    stop_every: int | None = None
    pulses: int = 0

    def load(self, name: str) -> Any | None:
        return self.states.get(name)

    def save(self, name: str, state: Any, *, step: int) -> None:
        from training.checkpoint import pack, unpack

        self.states[name] = unpack(*pack(state))

    def put(self, points: Sequence[Point], costs: Sequence[CostLine], *, progress: float) -> None:
        self.points += points
        self.costs = costs

    def should_stop(self) -> bool:
        self.pulses += 1
        return self.stop_every is not None and self.pulses > self.stop_every


@dataclass
class Trained:
    """A finished run and what it told."""

    lab: Lab
    outcome: Outcome
    memory: Memory
    attempts: int

    def executed(self, purpose: Purpose = Purpose.TRAIN) -> float:
        return sum(line.executed for (_, p), line in self.lab.ledger.lines.items() if p is purpose)

    def training(self) -> float:
        """Executed FLOPs of training: every purpose but those that stand beside it."""
        return self.lab.ledger.training[0]

    def weights(self) -> dict[str, torch.Tensor]:
        return self.outcome.model.state_dict()

    def series(self, name: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.memory.points if point.name == name]


@dataclass(frozen=True)
class Workbench:
    """Makes specs, labs and runs over one small prepared text."""

    home: Path

    def spec(
        self, method: str = "dense", knobs: Knobs | None = None, *, task: str = "language_modelling", **changes: Any
    ) -> RunSpec:
        body: dict[str, Any] = {
            "task": task,
            **SMALLEST[task],
            "budget": {"steps": 20},
            "batch_size": 4,
            "eval_points": 2,
            "methods": [method],
            "evals": [],
        }
        if knobs is not None:
            body["knobs"] = {method: knobs.model_dump()}
        return RunSpec.model_validate(body | changes)

    def task(self, spec: RunSpec) -> Any:
        return assembly.task(spec, CPU, cache_root=self.home / "cache", data_root=self.home / "data")

    def corpus(self, data: DataSpec) -> Any:
        return prepare(data, cache_root=self.home / "cache", data_root=self.home / "data")

    def lab(self, spec: RunSpec, memory: Memory | None = None, *, seed: int = 0) -> Lab:
        memory = memory or Memory()
        return Lab(spec, self.task(spec), seed=seed, device=CPU, store=memory, sink=memory, control=memory)

    def train(self, spec: RunSpec, *, seed: int = 0, stop_every: int | None = None) -> Trained:
        """Run to the end; with `stop_every` the run is stopped every so many steps and resumed in a fresh lab."""
        memory, attempts = Memory(stop_every=stop_every), 0
        while True:
            attempts, memory.pulses = attempts + 1, 0
            lab = self.lab(spec, memory, seed=seed)
            try:
                return Trained(lab, assembly.run(lab), memory, attempts)
            except Cancelled:
                continue


def make_workbench(home: Path) -> Workbench:
    """A few real addresses as the text `text:addresses.txt`."""
    (home / "data").mkdir()
    texts = [address.text for address in sotu.addresses()[:24]]
    (home / "data" / "addresses.txt").write_text("\n\n".join(texts)[:400_000])
    (home / "data" / "modules.txt").write_text("\n\n".join(stdlib.read().test)[:200_000])
    return Workbench(home)


def every_method() -> Mapping[str, catalog.Card]:
    return catalog.cards()
