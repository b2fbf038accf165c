"""Records: the least that an arm paid to reach a loss, and who improved on whom. Pure functions of settled experiments.

Losses are comparable on one task and data, with one vocabulary and context, or resolution and classes; wall times on
one kind of machine besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import NamedTuple

import numpy as np
from scipy import stats

from training import catalog
from webapp.results.comparison import ArmResult, Unit
from webapp.results.curves import cost_to_reach
from webapp.results.settled import NEWEST, Settled
from webapp.results.statistics import FEWEST
from webapp.results.verdict import Verdict

VERSION = 2
"""2: tasks apart, and seeds that do not differ are no evidence."""
LEVEL = 0.05
STEP = 0.25
"""Target losses are whole multiples of this, in nats, so that experiments meet at them."""
RULES = (
    f"Version {VERSION}. An arm takes part when its experiment is finished and matched, and at least {FEWEST} seeds of "
    "it, all that finished, crossed the target between two evaluations. What a seed paid is its cost at the first "
    "crossing; an arm's is their geometric mean. The first arm to take part opens the table; a later one is a record "
    f"when its cost is lower with one-sided p < {LEVEL} on log costs against the record before it: paired by seed (t) "
    "within one experiment, where seeds share their data order, else Welch's t. Targets are whole multiples of "
    f"{STEP} nats. The {NEWEST} newest finished experiments take part."
)


class Hardware(NamedTuple):
    """A class of machines whose wall times may be compared."""

    queue: str
    device: str
    threads: int


class Field(NamedTuple):
    """What records share: what is learnt of which data, as it is cut, and the machine."""

    task: str
    source: str
    domain: str
    cut: str
    hardware: Hardware

    @property
    def title(self) -> str:
        """The task in words."""
        return catalog.task(self.task).title


@dataclass(frozen=True, slots=True)
class Entry:
    """An arm that reached a target with every seed, and what each paid."""

    experiment: str
    title: str
    at: datetime
    arm: ArmResult
    executed: Mapping[int, float]
    seconds: Mapping[int, float]

    def costs(self, unit: Unit) -> Mapping[int, float]:
        return self.seconds if unit is Unit.SECONDS else self.executed

    def mean(self, unit: Unit) -> float:
        """Geometric mean over the seeds."""
        return float(np.exp(np.mean(np.log(list(self.costs(unit).values())))))


@dataclass(frozen=True, slots=True)
class Record:
    """A line of the table. `p` is against the record before it, None for the first, by the named test."""

    entry: Entry
    p: float | None
    test: str

    @property
    def n(self) -> int:
        return len(self.entry.executed)


@dataclass(frozen=True, slots=True)
class Board:
    """The records of one field at one target loss, oldest first, in one unit of cost."""

    field: Field
    target: float
    unit: Unit
    records: tuple[Record, ...]


def boards(found: Sequence[Settled], machines: Mapping[str, Hardware], unit: Unit) -> tuple[Board, ...]:
    """Every table that has an entry, lowest target first within a field; `machines` by code of a run."""
    fields: dict[Field, list[tuple[Settled, ArmResult]]] = defaultdict(list)
    for each in sorted(found, key=lambda each: each.at):
        for arm in admitted(each):
            if (field := _field(arm, machines)) is not None:
                fields[field].append((each, arm))
    return tuple(
        Board(field, target, unit, records)
        for field, arms in sorted(fields.items())
        for target in _targets([arm for _, arm in arms])
        if (records := improvements([e for pair in arms if (e := entry(*pair, target)) is not None], unit))
    )


def admitted(each: Settled) -> tuple[ArmResult, ...]:
    """The arms whose comparison is matched, the baseline first; none where nothing is."""
    matched = tuple(found.arm for found in each.findings if found.judgement.verdict is not Verdict.UNMATCHED)
    baseline = each.comparison.baseline
    return (baseline, *matched) if matched and baseline else ()


def entry(each: Settled, arm: ArmResult, target: float) -> Entry | None:
    """What the arm paid to reach the target; None unless every finished seed crossed it between two evaluations."""
    costs: list[dict[int, float]] = []
    for unit in (Unit.EXECUTED, Unit.SECONDS):
        reached = {seed: cost_to_reach(curve, target) for seed, curve in arm.curves(unit).items()}
        if len(reached) < FEWEST or any(reach.kind != "reached" for reach in reached.values()):
            return None
        costs.append({seed: reach.cost for seed, reach in reached.items()})
    return Entry(each.code, each.title, each.at, arm, *costs)


def improvements(entries: Sequence[Entry], unit: Unit) -> tuple[Record, ...]:
    """The entries, in order of time, that beat the record before them by the rules."""
    found: list[Record] = []
    for each in entries:
        if not found:
            found.append(Record(each, None, ""))
        else:
            p, test = p_value(each, found[-1].entry, unit)
            if p < LEVEL:
                found.append(Record(each, p, test))
    return tuple(found)


def p_value(ours: Entry, theirs: Entry, unit: Unit) -> tuple[float, str]:
    """One-sided: how often chance alone would make ours this much cheaper; 1 where the seeds do not differ, for then
    they tell nothing of others."""
    logs = [{seed: float(np.log(cost)) for seed, cost in side.costs(unit).items()} for side in (ours, theirs)]
    shared = sorted(logs[0].keys() & logs[1].keys())
    if ours.experiment == theirs.experiment and len(shared) >= FEWEST:
        gains = np.array([logs[0][seed] - logs[1][seed] for seed in shared])
        if np.ptp(gains) < 1e-12:
            return 1.0, "paired t"
        return float(stats.ttest_1samp(gains, 0.0, alternative="less").pvalue), "paired t"
    a, b = (list(side.values()) for side in logs)
    if np.ptp(a) + np.ptp(b) < 1e-12:
        return 1.0, "Welch's t"
    return float(stats.ttest_ind(a, b, equal_var=False, alternative="less").pvalue), "Welch's t"


def _field(arm: ArmResult, machines: Mapping[str, Hardware]) -> Field | None:
    """None where the finished seeds did not run on one class of machines."""
    used = {machines.get(run.code) for run in arm.finished}
    machine = used.pop() if len(used) == 1 else None
    data = arm.spec.data
    cut = (
        f"{data.resolution} pixels, {data.channels} channels, {data.classes} classes"
        if arm.spec.unit == "image"
        else f"vocabulary {data.vocab_size:,}, context {data.context:,}"
    )
    return machine and Field(arm.spec.task, data.source, data.domain or "", cut, machine)


def _targets(arms: Sequence[ArmResult]) -> list[float]:
    """Multiples of STEP from the lowest loss of any arm up to the highest first one."""
    curves = [curve for arm in arms for curve in arm.curves(Unit.EXECUTED).values() if np.isfinite(curve.losses).any()]
    if not curves:
        return []
    low, high = min(np.nanmin(curve.losses) for curve in curves), max(np.nanmax(curve.losses) for curve in curves)
    return [float(STEP * place) for place in range(ceil(low / STEP), ceil(high / STEP))]
