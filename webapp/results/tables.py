"""The table twin of every chart, as headings and rows of plain values; CSV, JSON and the terminal print the same."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from training.records import Purpose
from webapp.results import notation
from webapp.results import savings as judged
from webapp.results.comparison import ArmResult, Comparison, Unit, counted
from webapp.results.savings import Finding
from webapp.results.statistics import Estimate

Cell = str | int | float | None
SHOWN = 200
"""Rows of a table that a page shows."""
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet run a cell."""


@dataclass(frozen=True, slots=True)
class Table:
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def csv(self) -> str:
        """Numbers in full; text that a spreadsheet would run is prefixed by an apostrophe."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([_tame(heading) for heading in self.headings])
        writer.writerows([_tame(cell) for cell in row] for row in self.rows)
        return out.getvalue()

    @property
    def shown(self) -> list[list[str]]:
        """The first rows as a person reads them; the CSV has all."""
        return [[_written(cell) for cell in row] for row in self.rows[:SHOWN]]


def _written(cell: Cell) -> str:
    if isinstance(cell, bool) or cell is None:
        return notation.NONE if cell is None else "yes" if cell else "no"
    if isinstance(cell, float):
        return notation.si(cell, "") if abs(cell) >= 1e5 else f"{cell:.4g}".replace("-", "−")
    return f"{cell:,}" if isinstance(cell, int) else cell


def _tame(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(DANGEROUS) else cell


def curves(comparison: Comparison) -> Table:
    """Every evaluation of every finished run, in every unit."""
    rows = [
        (arm.label, run.seed, at.steps, at.tokens, at.executed, run.effective(at), at.seconds, at.loss)
        for arm in comparison.arms
        for run in arm.finished
        for at in run.evaluations
    ]
    headings = (
        "arm",
        "seed",
        "steps",
        f"{comparison.counted}s",
        "executed FLOPs",
        "effective FLOPs",
        "wall seconds",
        "validation loss",
    )
    return Table("Evaluations of finished runs", headings, tuple(rows))


def savings(found: tuple[Finding, ...]) -> Table:
    """Saving at every target loss of the grid; of an unmatched arm only why it is withheld."""
    rows: list[tuple[Cell, ...]] = []
    for finding in found:
        rows += [
            (finding.arm.label, target.share, target.loss, *_numbers(estimate), estimate.bound, estimate.note)
            for target, estimate in finding.at_loss
        ]
        if not finding.matched:
            rows.append((finding.arm.label, *[None] * 7, notation.WITHHELD, "; ".join(finding.judgement.reasons)))
    headings = (
        "arm",
        "share of baseline cost",
        "target loss",
        "saving",
        "low",
        "high",
        "n",
        "interval",
        "bound",
        "note",
    )
    unit = found[0].cost_label if found else ""
    return Table(f"Saving in {unit} at equal loss", headings, tuple(rows))


def budgets(found: tuple[Finding, ...]) -> Table:
    """Saving and loss difference at equal budget."""
    rows = [
        (finding.arm.label, f"equal {budget.kind}", *_numbers(budget.saving)[:3], *_numbers(budget.loss))
        for finding in found
        if (budget := finding.budget)
    ]
    headings = ("arm", "budget", "saving", "low", "high", "loss difference", "low", "high", "n", "interval")
    unit = found[0].cost_label if found else ""
    return Table(f"Saving in {unit} at equal budget, and the loss paid", headings, tuple(rows))


def savings_in_words(found: tuple[Finding, ...]) -> Table:
    """The same for reading: a row per target, a column per arm."""
    goals = list(dict.fromkeys(target for finding in found for target, _ in finding.at_loss))
    by_arm = [dict(finding.at_loss) for finding in found]
    rows = [
        (f"{goal.loss:.3f}, at {goal.share:.0%} of its cost", *(notation.saving(saved.get(goal)) for saved in by_arm))
        for goal in goals
    ]
    if not all(finding.matched for finding in found):
        rows.append(("withheld, unmatched", *(_withheld(finding) for finding in found)))
    headings = ("baseline's loss", *(finding.arm.label for finding in found))
    return Table("Saving at equal loss [95% interval over seeds]", headings, tuple(rows))


def budgets_in_words(found: tuple[Finding, ...]) -> Table:
    """The same for reading, in every unit that was billed; where something is withheld, a last column says why."""
    units = [unit for unit in Unit if any(finding.budget and unit in finding.budget.by_unit for finding in found)]
    rows = [(finding.arm.label, *_at_equal_budget(finding, units)) for finding in found]
    data = counted([finding.arm for finding in found])
    headings = ("arm", "budget", *(unit.of(data) for unit in units), "final loss less the baseline's (nats)")
    if not all(finding.matched for finding in found):
        rows = [(*row, _withheld(finding) or notation.NONE) for row, finding in zip(rows, found, strict=True)]
        headings = (*headings, "why withheld")
    return Table("Saving, and the loss paid for it [95% interval over seeds]", headings, tuple(rows))


def _at_equal_budget(finding: Finding, units: list[Unit]) -> tuple[str, ...]:
    """The budget, what was saved in each unit, and the loss paid; of an unmatched arm nothing."""
    budget = finding.budget
    if budget is None:
        return (notation.NONE, *[notation.WITHHELD] * len(units), notation.NONE)
    saved = (notation.saving(budget.by_unit.get(unit)) for unit in units)
    return (f"equal {budget.kind}", *saved, notation.nats(budget.loss))


def contests(found: tuple[Finding, ...]) -> Table:
    """Methods against each other at the headline target."""
    rows = [
        (
            contest.ours.label,
            contest.theirs.label,
            notation.saving(contest.saving),
            contest.saving.n,
            contest.saving.p,
            contest.evidence.corrected,
            "yes" if contest.evidence.holds else "no",
            notation.more_seeds(contest.hint),
        )
        for contest in judged.contests(found)
    ]
    headings = ("arm", "against", "saves of its cost", "n", "p", "p corrected (Holm)", "separated", "more seeds")
    return Table("Two methods at the baseline's final loss", headings, tuple(rows))


def _withheld(finding: Finding) -> str:
    return "" if finding.matched else "; ".join(finding.judgement.reasons)


class Costs(NamedTuple):
    """What a line, or a bill, comes to: mean over finished seeds."""

    executed: float
    effective: float
    seconds: float
    tokens: float
    examples: float

    @classmethod
    def summed(cls, lines: Iterable[Costs]) -> Costs:
        return cls(*map(sum, zip(cls(0.0, 0.0, 0.0, 0.0, 0.0), *lines, strict=True)))


def mean_lines(arm: ArmResult) -> dict[tuple[str, Purpose], Costs]:
    """By phase and purpose; a seed without a line spent nothing on it."""
    found: dict[tuple[str, Purpose], list[float]] = defaultdict(lambda: [0.0] * 5)
    finished = arm.finished
    for run in finished:
        for line in run.lines:
            sums = found[line.phase, line.purpose]
            for i, cost in enumerate((line.executed, line.effective, line.seconds, line.tokens, line.examples)):
                sums[i] += cost / len(finished)
    return {key: Costs(*sums) for key, sums in found.items()}


def scores(comparison: Comparison) -> Table:
    """Every test of every arm."""
    rows: list[tuple[Cell, ...]] = []
    for arm in comparison.arms:
        for score in arm.scores:
            t, mean = score.test, score.mean
            if mean:
                rows.append((arm.label, t.task, t.metric, t.split, t.version, t.shots, mean.value, mean.stderr, mean.n,
                             score.n, score.noise, score.chance))  # fmt: skip
    headings = ("arm", "task", "metric", "split", "version", "shots", "mean", "standard error", "seeds",
                "items", "standard error over items", "chance")  # fmt: skip
    return Table("Scores of the finished models", headings, tuple(rows))


def configuration(comparison: Comparison, *, whole: bool = False) -> Table:
    """Settings by arm: those that differ, or all of them."""
    specs = [_flat(arm.spec.model_dump(mode="json")) for arm in comparison.arms]
    paths = sorted({path for spec in specs for path in spec})
    rows = [(path, *(spec.get(path) for spec in specs)) for path in paths]
    shown = tuple(row for row in rows if whole or len(set(row[1:])) > 1)
    caption = "All settings" if whole else "Settings that differ between arms"
    return Table(caption, ("setting", *(arm.label for arm in comparison.arms)), shown)


def _flat(body: dict[str, Any], prefix: str = "") -> dict[str, Cell]:
    """Paths as errors write them: `knobs.est.heads`."""
    found: dict[str, Cell] = {}
    for key, value in body.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found


def _numbers(estimate: Estimate) -> tuple[Cell, ...]:
    span = estimate.interval
    ends = (span.low, span.high) if span else (None, None)
    return (estimate.value, *ends, estimate.n, span.method if span else None)
