"""Whether a method's measurement was repeated: by which finished, matched experiments, and with which verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from training import catalog
from training.catalog import Card
from training.evidence import Evidence, evidence
from training.spec import RunSpec
from webapp.results import measured, notation
from webapp.results.measured import Row
from webapp.results.savings import Finding
from webapp.results.settled import Settled, settled
from webapp.results.verdict import Verdict


class Replication(StrEnum):
    NOT_MEASURED = "not yet measured"
    BY_STUDY = measured.BY_STUDY
    ONCE = "measured once"
    REPLICATED = "replicated"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one experiment says of a method: its verdict and its saving at equal loss."""

    experiment: str
    title: str
    at: datetime
    arm: str
    verdict: Verdict
    saving: str
    setting: RunSpec


@dataclass(frozen=True, slots=True)
class Record:
    """All that was measured of a method: the card's own evidence, and this installation's experiments."""

    card: Card
    evidence: Evidence | None
    measurements: tuple[Measurement, ...]

    @property
    def measured(self) -> Row:
        """The evidence in words, as `docs/measured.md` has it."""
        return Row(self.card, self.evidence)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The evidence's first, then one per experiment."""
        own = [self.evidence.verdict] if self.evidence and self.evidence.verdict != Verdict.UNMATCHED else []
        return (*own, *(found.verdict.value for found in self.measurements))

    @property
    def state(self) -> Replication:
        match len(self.verdicts), len(set(self.verdicts)):
            case 0, _:
                return Replication.BY_STUDY if self.measured.studies else Replication.NOT_MEASURED
            case 1, _:
                return Replication.ONCE
            case _, 1:
                return Replication.REPLICATED
        return Replication.DISPUTED

    @property
    def verdict(self) -> str:
        """What the card's evidence says, else the newest experiment; empty where there is neither."""
        return self.verdicts[0] if self.verdicts else ""

    @property
    def saving(self) -> str:
        """The saving behind the verdict; a dash where there is none."""
        if self.evidence and self.evidence.verdict == self.verdict:
            return self.measured.saving
        return self.measurements[0].saving if self.measurements else notation.NONE

    @property
    def words(self) -> str:
        """The state in a sentence."""
        n, same = len(self.verdicts), self.verdicts.count(self.verdict)
        match self.state:
            case Replication.NOT_MEASURED:
                return "Nobody has measured it here with its default or preset knobs against a matched baseline."
            case Replication.BY_STUDY:
                return "Its runs answer a study's question; as a method by itself nothing is said of it."
            case Replication.ONCE:
                return "Measured once: no other experiment here has repeated it."
            case Replication.REPLICATED:
                return f"Replicated: {n} measurements, of other seeds or settings, reached the same verdict."
        return f"Disputed: {same} of {n} measurements reached the verdict {self.verdict!r}, the others did not."


def records(user: Any) -> dict[str, Record]:
    """One per method, by name, from what this person may see."""
    found = settled(user)
    return {name: record(card, found) for name, card in catalog.cards().items()}


def record(card: Card, found: Sequence[Settled]) -> Record:
    """What these experiments say of a method, newest first.

    The same settings with a seed that has spoken already are the same measurement again: whoever repeats one needs
    other seeds, or other settings.
    """
    own = evidence(card.name)
    spoken = {(arm.digest, run.seed) for arm in (own.arms if own else ()) for run in arm.runs}
    measurements: list[Measurement] = []
    for each in reversed(found):
        if (finding := _speaks(card, each.findings)) is None:
            continue
        runs = {(finding.arm.spec.digest(), run.seed) for run in finding.arm.finished}
        if not runs & spoken:
            spoken |= runs
            measurements.insert(0, _measurement(each, finding))
    return Record(card, own, tuple(measurements))


def _speaks(card: Card, findings: Sequence[Finding]) -> Finding | None:
    """The first matched arm that is the method as its card offers it; arms with other knobs are ablations."""
    offered = [card.knobs(), *(card.presets or {}).values()]
    for finding in findings:
        spec = finding.arm.spec
        if spec.methods == (card.name,) and spec.knobs[card.name] in offered and not finding.arm.is_dense:
            return None if finding.judgement.verdict is Verdict.UNMATCHED else finding
    return None


def _measurement(each: Settled, finding: Finding) -> Measurement:
    saving = notation.saving(finding.headline[1] if finding.headline else None)
    verdict = finding.judgement.verdict
    return Measurement(each.code, each.title, each.at, finding.arm.label, verdict, saving, finding.arm.spec)
