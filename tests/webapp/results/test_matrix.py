"""The evaluation matrix: shades, marks that survive correction, and blanks that are not zeros."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.webapp.results import planted
from training.spec import RunSpec
from webapp.results.comparison import ArmResult, Comparison, Test, TestScore
from webapp.results.matrix import MEAN, Matrix, MatrixCell, matrix

SEEDS = (1, 2, 3)
CLOZE = Test("cloze", "acc", "heldout", 1, 0)
CHOICE = Test("choice", "acc", "heldout", 2, 5)
PERPLEXITY = Test("text", "perplexity", "heldout", 1, 0)
LEVEL = (0.30, 0.31, 0.32)


def score(test: Test, values: tuple[float, ...], *, higher: bool = True) -> TestScore:
    chance = 0.25 if higher else None
    return TestScore(test, dict(zip(SEEDS, values, strict=True)), 200, chance, higher, 0.02)


def arm(label: str, index: int, *scores: TestScore) -> ArmResult:
    runs = [planted.run(seed) for seed in SEEDS]
    return replace(planted.arm(label, runs, index=index, spec=RunSpec(methods=("est",))), scores=scores)


def moved(by: float, wobble: float = 0.001) -> tuple[float, ...]:
    """The baseline's values moved by so much, give or take a little over the seeds."""
    return tuple(value + by + wobble * sign for value, sign in zip(LEVEL, (-1, 0, 1), strict=True))


def against(*rivals: ArmResult, base: tuple[TestScore, ...] = (score(CLOZE, LEVEL),)) -> Comparison:
    return planted.comparison(arm("Dense", 0, *base), *rivals)


def cell(found: Matrix, row: int, column: int = 0) -> MatrixCell:
    return found.rows[row].cells[column]


def test_a_cell_is_a_score_and_its_standard_error() -> None:
    assert cell(matrix(against()), 0).text == "31.0 ± 0.6%"


def test_the_header_names_version_and_shots() -> None:
    both = (score(CLOZE, LEVEL), score(CHOICE, LEVEL))
    assert matrix(against(base=both)).headings == ("arm", "choice acc (v2, 5-shot)", "cloze acc (v1, 0-shot)", MEAN)


def test_the_last_row_is_the_level_of_chance() -> None:
    last = matrix(against()).rows[-1]
    assert (last.label, last.index, [cell.text for cell in last.cells]) == ("chance", None, ["25.0%"])


@pytest.mark.parametrize(("by", "mark", "shade"), [(0.05, "▲", "better-3"), (-0.05, "▼", "worse-3")])
def test_a_clear_difference_is_shaded_and_marked(by: float, mark: str, shade: str) -> None:
    found = cell(matrix(against(arm("EST", 1, score(CLOZE, moved(by))))), 1)
    assert (found.mark, found.shade) == (mark, shade)


def test_a_difference_within_its_scatter_is_not_marked() -> None:
    found = cell(matrix(against(arm("EST", 1, score(CLOZE, moved(0.01, wobble=0.015))))), 1)
    assert (found.mark, found.shade) == ("", "better-1")


def test_a_mark_that_stands_alone_falls_among_many_cells() -> None:
    clear, vague = score(CLOZE, moved(0.01, wobble=0.002)), score(CLOZE, moved(0.0001, wobble=0.02))
    many = [arm(f"Other {i}", i + 2, vague) for i in range(5)]
    assert cell(matrix(against(arm("EST", 1, clear))), 1).mark == "▲"
    assert cell(matrix(against(arm("EST", 1, clear), *many)), 1).mark == ""


def test_where_lower_is_better_a_fall_is_better() -> None:
    base = score(PERPLEXITY, (20.0, 21.0, 22.0), higher=False)
    rival = arm("EST", 1, score(PERPLEXITY, (15.0, 16.1, 16.9), higher=False))
    assert cell(matrix(against(rival, base=(base,))), 1).shade == "better-3"


def test_a_blank_is_not_a_zero() -> None:
    found = matrix(against(arm("EST", 1)))
    assert (cell(found, 1).text, cell(found, 1).shade, found.table.rows[1][1]) == ("", "", None)


def test_equal_differences_over_all_seeds_are_no_evidence() -> None:
    found = cell(matrix(against(arm("EST", 1, score(CLOZE, moved(0.05, wobble=0.0))))), 1)
    assert (found.mark, found.shade) == ("", "")


def test_the_mean_needs_every_accuracy() -> None:
    both = (score(CLOZE, LEVEL), score(CHOICE, (0.50, 0.51, 0.52)))
    found = matrix(against(arm("EST", 1, score(CLOZE, LEVEL)), base=both))
    assert [row.cells[-1].text for row in found.rows[:2]] == ["41.0 ± 0.6%", ""]


def test_the_twin_keeps_the_marks() -> None:
    rows = matrix(against(arm("EST", 1, score(CLOZE, moved(0.05))))).table.rows
    assert rows[1][1] == "36.0 ± 0.6% ▲"


def test_nothing_scored_is_an_empty_matrix() -> None:
    assert matrix(planted.comparison(arm("Dense", 0))).rows == ()


def several() -> Matrix:
    """Dense 31%, Best 41%, Worst 21%, and one that took another test alone."""
    rivals = [arm("best", 1, score(CLOZE, moved(0.1))), arm("Worst", 2, score(CLOZE, moved(-0.1)))]
    return matrix(against(*rivals, arm("Absent", 3, score(CHOICE, LEVEL))))


CLOZE_COLUMN = "cloze acc (v1, 0-shot)"


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("", ["Dense", "best", "Worst", "Absent", "chance"]),
        (CLOZE_COLUMN, ["Worst", "Dense", "best", "Absent", "chance"]),
        (f"-{CLOZE_COLUMN}", ["best", "Dense", "Worst", "Absent", "chance"]),
        ("arm", ["Absent", "best", "Dense", "Worst", "chance"]),
        ("-arm", ["Worst", "Dense", "best", "Absent", "chance"]),
        ("no such column", ["Dense", "best", "Worst", "Absent", "chance"]),
    ],
)
def test_rows_come_in_the_order_of_a_column_blanks_and_chance_last(by: str, order: list[str]) -> None:
    assert [row.label for row in several().sorted(by).rows] == order


def test_a_column_sorts_down_then_up_then_not_at_all() -> None:
    seen, by = [], ""
    for _ in range(3):
        column = several().sorted(by).columns[-1]
        seen.append((column.order, column.then))
        by = column.then or ""
    assert seen == [("", f"-{CLOZE_COLUMN}"), ("descending", CLOZE_COLUMN), ("ascending", None)]
