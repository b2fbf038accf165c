"""What was measured of every method, from the evidence beside the cards: the docs' table and the methods' pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training import catalog
from training.catalog import Card, StudyCard
from training.evidence import Evidence, MeasuredArm, MeasuredSaving, evidence
from webapp.results import notation
from webapp.results.statistics import Estimate, Interval, paired_saving

ESCAPED = r"\|"
NOT_RUN = "not yet run here"
BY_STUDY = "judged by a study"
"""Of a method whose card asks for no reproduction, because a study is made of its runs."""
NOT_RECORDED = "not recorded"
HEADINGS = ("Method", "Claim of its paper", "Executed FLOPs saved at equal loss", "Executed FLOPs saved over the run",
            "Effective FLOPs saved over the run", "Bars passed", "Verdict", "Command")  # fmt: skip
PREFACE = """# What was measured

Written by `python -m benchmarks.replicate`, from the evidence that lies beside each method's card; the methods' pages
show the same. Claims are those of the papers, in their settings; what was measured is the card's own reproduction,
against a dense baseline. No figure speaks for the other's setting.

At equal loss: to reach the baseline's final loss. Over the run: of the baseline's whole training cost, whatever loss
either reached. In brackets the 95% interval over n seeds. Executed FLOPs are what the kernels did; effective FLOPs are
what ideal sparse or low-bit hardware would do. A saving in effective FLOPs alone saves no time here.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A method in words; its evidence, if its reproduction was run."""

    card: Card
    evidence: Evidence | None

    @property
    def claim(self) -> str:
        """What the paper says first, and of what."""
        first = self.card.claims[0]
        return f"{first.text} ({first.setting})"

    @property
    def saving(self) -> str:
        """Of executed FLOPs, to reach the baseline's final loss."""
        if self.evidence is None:
            return self.absent
        found = estimate(self.evidence.saving)
        return f"{notation.saving(found)}, n = {found.n}"

    @property
    def executed(self) -> str:
        return self._over_the_run("executed_flops")

    @property
    def effective(self) -> str:
        return self._over_the_run("effective_flops")

    @property
    def bars(self) -> str:
        return f"{len(self.evidence.passed)} of {len(self.evidence.bars)}" if self.evidence else notation.NONE

    @property
    def verdict(self) -> str:
        if self.evidence is None:
            return f"{BY_STUDY}, {self.studies[0].title}: see benchmarks/README.md" if self.studies else NOT_RUN
        return self.evidence.words[0]

    @property
    def absent(self) -> str:
        """What stands where there is no evidence."""
        return BY_STUDY if self.studies else NOT_RUN

    @property
    def studies(self) -> list[StudyCard]:
        return [] if self.card.reproduction else catalog.studies_of(self.card.name)

    @property
    def command(self) -> str:
        """What runs it; a dash where neither the card nor a study does."""
        if self.studies:
            return f"python -m benchmarks.{self.studies[0].name} FOLDER"
        return f"python -m benchmarks.replicate {self.card.name}" if self.card.reproduction else notation.NONE

    @property
    def cells(self) -> tuple[str, ...]:
        """As `HEADINGS` says."""
        command = self.command if self.command == notation.NONE else f"`{self.command}`"
        return (self.card.title, self.claim, self.saving, self.executed, self.effective, self.bars, self.verdict,
                command)  # fmt: skip

    def _over_the_run(self, name: str) -> str:
        if self.evidence is None:
            return notation.NONE
        ours, theirs = (_by_seed(arm, name) for arm in (self.evidence.arm(self.evidence.judged), self.evidence.arms[0]))
        found = paired_saving(ours, theirs)
        return f"{notation.saving(found)}, n = {found.n}" if found.n else NOT_RECORDED


def row(card: Card) -> Row:
    return Row(card, evidence(card.name))


def rows() -> list[Row]:
    """Every method of which something is claimed."""
    return [row(card) for card in catalog.cards().values() if card.claims]


def markdown() -> str:
    """`docs/measured.md` in full."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(each.cells for each in rows())]
    return "\n".join((PREFACE, *map(line, lines))) + "\n"


def line(cells: Sequence[str]) -> str:
    """A line of a markdown table."""
    return f"| {' | '.join(cell.replace('|', ESCAPED) for cell in cells)} |"


def _by_seed(arm: MeasuredArm, name: str) -> dict[int, float]:
    """FLOPs of each run that recorded them."""
    found = {run.seed: getattr(run, name) for run in arm.runs}
    return {seed: flops for seed, flops in found.items() if flops is not None}


def estimate(found: MeasuredSaving) -> Estimate:
    """As the statistics have it, to be written like every other saving."""
    span = Interval(found.low, found.high, found.interval) if found.low is not None and found.high is not None else None
    return Estimate(found.value, found.n, span, found.bound, found.note)
