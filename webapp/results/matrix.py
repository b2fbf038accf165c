"""The evaluation matrix: arms by tests, each cell against the baseline, marked only where that survives correction."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison, Test, TestScore
from webapp.results.statistics import Estimate, Evidence, paired_difference, weigh
from webapp.results.tables import Table

MEAN = "mean of accuracies"
STEPS = (0.5, 1.0, 2.0)
"""Differences to the baseline, in standard deviations over seeds, from which the shade deepens."""
MATRIX_NOTE = (
    "Accuracies in percent; another version or number of shots is another test. Shade: difference to the baseline in "
    "standard deviations over seeds, blue better, orange worse, deeper from 0.5, 1 and 2. ▲ better, ▼ worse: the "
    "paired difference survives Holm's correction over the whole matrix. A blank was not scored."
)


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """A score, and its paired difference to the baseline, positive where better; empty where it was not scored."""

    text: str = ""
    value: float | None = None
    difference: Estimate | None = None
    evidence: Evidence | None = None

    @property
    def effect(self) -> float:
        """The difference in standard deviations over seeds; 0 where that is not known."""
        found = self.difference
        return found.value / found.spread if found and found.value is not None and found.spread else 0.0

    @property
    def shade(self) -> str:
        """Class name: `better-2`, or nothing."""
        depth = sum(abs(self.effect) >= step for step in STEPS)
        return f"{'better' if self.effect > 0 else 'worse'}-{depth}" if depth else ""

    @property
    def mark(self) -> str:
        if self.evidence is None or not self.evidence.holds:
            return ""
        return "▲" if self.effect > 0 else "▼"

    @property
    def meaning(self) -> str:
        """What shade and mark say, in words."""
        if self.evidence is None:
            return ""
        side, p = "better" if self.effect > 0 else "worse", notation.p_value(self.evidence.corrected)
        return f"{abs(self.effect):.1f} standard deviations {side} than the baseline, corrected {p}"


@dataclass(frozen=True, slots=True)
class Row:
    """`index` is the arm's place in the palette; None for the level of chance."""

    label: str
    index: int | None
    cells: tuple[MatrixCell, ...]

    def key(self, place: int) -> tuple[float, str]:
        """What it is sorted by: the score in a column, or its name at -1."""
        return (0.0, self.label.casefold()) if place < 0 else (self.cells[place].value or 0.0, "")


@dataclass(frozen=True, slots=True)
class Column:
    """A heading that sorts: `order` as ARIA names it, empty where the rows are not in its order; `then` is its link."""

    heading: str
    order: str
    then: str | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """`sort` names the column whose order the rows are in, downwards with a leading minus; else as arms were added."""

    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    sort: str = ""

    @property
    def columns(self) -> list[Column]:
        """A name is first sorted upwards, a score downwards; then the other way round, then as it was."""
        turns = [[heading, f"-{heading}"][:: -1 if place else 1] for place, heading in enumerate(self.headings)]
        return [self._column(heading, turn) for heading, turn in zip(self.headings, turns, strict=True)]

    def _column(self, heading: str, turns: list[str]) -> Column:
        if self.sort not in turns:
            return Column(heading, "", turns[0])
        order = "descending" if self.sort.startswith("-") else "ascending"
        return Column(heading, order, turns[1] if self.sort == turns[0] else None)

    def sorted(self, by: str) -> Matrix:
        """Rows in the order of this column; chance stays last, what was not scored just before it."""
        heading = by.removeprefix("-")
        if heading not in self.headings:
            return self
        place = self.headings.index(heading) - 1
        arms, chance = ([row for row in self.rows if (row.index is None) is last] for last in (False, True))
        blank = [row for row in arms if place >= 0 and row.cells[place].value is None]
        full = [row for row in arms if row not in blank]
        full.sort(key=lambda row: row.key(place), reverse=by.startswith("-"))
        return replace(self, rows=(*full, *blank, *chance), sort=by)

    @property
    def table(self) -> Table:
        """The same as plain text, marks included."""
        rows = [(row.label, *(f"{cell.text} {cell.mark}".strip() or None for cell in row.cells)) for row in self.rows]
        return Table("Score ± standard error over seeds", self.headings, tuple(rows))


def matrix(comparison: Comparison) -> Matrix:
    """Every arm on every test and on the mean of its accuracies; the last row is the level of chance."""
    accuracies = {score.test for arm in comparison.arms for score in arm.scores if _accuracy(score)}
    scored = {arm.code: _scored(arm, accuracies) for arm in comparison.arms}
    columns = [*(_heading(test) for test in comparison.tests), MEAN]
    columns = [column for column in columns if any(column in scores for scores in scored.values())]
    base = scored[comparison.baseline.code] if comparison.baseline else {}
    differences = {
        (arm.code, column): _gain(scored[arm.code][column], base[column])
        for arm in comparison.rivals
        for column in scored[arm.code].keys() & base.keys()
    }
    evidence = weigh({key: found for key, found in differences.items() if found.p is not None})
    rows = [
        Row(
            arm.label,
            arm.index,
            tuple(
                _cell(scored[arm.code].get(column), differences.get(key), evidence.get(key))
                for column in columns
                for key in [(arm.code, column)]
            ),
        )
        for arm in comparison.arms
    ]
    return Matrix(("arm", *columns), (*rows, _chance(columns, list(scored.values()))) if columns else ())


def _accuracy(score: TestScore) -> bool:
    return score.chance is not None and score.higher_is_better


def _heading(test: Test) -> str:
    """`cloze acc (v1, 0-shot)`."""
    return f"{test.task} {test.metric} (v{test.version}, {test.shots}-shot)"


def _scored(arm: ArmResult, accuracies: Set[Test]) -> dict[str, TestScore]:
    """By heading; the mean only of an arm that took every accuracy test, and only of more than one."""
    taken = [score for score in arm.scores if _accuracy(score)]
    mean = {MEAN: _mean(taken)} if len(taken) == len(accuracies) > 1 else {}
    return {_heading(score.test): score for score in arm.scores} | mean


def _mean(scores: Sequence[TestScore]) -> TestScore:
    """Over tasks, each the mean of its metrics, by seed."""
    tasks = sorted({score.test.task for score in scores})
    groups = [[score for score in scores if score.test.task == task] for task in tasks]
    seeds = sorted(set.intersection(*(set(score.by_seed) for score in scores)))
    by_seed = {s: float(np.mean([np.mean([score.by_seed[s] for score in group]) for group in groups])) for s in seeds}
    chance = float(np.mean([np.mean([score.chance or 0.0 for score in group]) for group in groups]))
    return TestScore(Test("mean", "acc", "all", 1, 0), by_seed, sum(s.n for s in scores), chance, True, None)


def _gain(ours: TestScore, theirs: TestScore) -> Estimate:
    """Positive where better, whichever direction is."""
    sides = (ours, theirs) if ours.higher_is_better else (theirs, ours)
    return paired_difference(sides[0].by_seed, sides[1].by_seed)


def _cell(score: TestScore | None, difference: Estimate | None, evidence: Evidence | None) -> MatrixCell:
    mean = score.mean if score else None
    text = notation.score(score) if score else ""
    return MatrixCell(text, mean.value if mean else None, difference, evidence)


def _chance(columns: Sequence[str], scored: Sequence[dict[str, TestScore]]) -> Row:
    levels = [next((found[column].chance for found in scored if column in found), None) for column in columns]
    return Row("chance", None, tuple(MatrixCell("" if at is None else notation.percent(at)) for at in levels))
