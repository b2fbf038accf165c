"""Counted FLOPs are held against the method's formula, on the blocks and in total."""

from __future__ import annotations

from dataclasses import replace

import pytest

from training.records import Purpose
from training.spec import RunSpec
from webapp.results import closed_forms
from webapp.results.comparison import ArmResult, Comparison, Line, SeedRun

EST = RunSpec(methods=("est",))


def counted(spec: RunSpec, factor: float = 1.0) -> Comparison:
    tokens = spec.steps() * spec.tokens_per_step
    line = Line("train", Purpose.TRAIN, factor * spec.train_flops(), spec.train_flops(), 1.0, tokens)
    lost = replace(line, purpose=Purpose.REDONE)
    run = SeedRun("r", 0, "succeeded", lines=(line, lost))
    return Comparison("c", "", "", (ArmResult("a", "EST", 0, True, spec, (run,)),))


def test_an_arm_that_does_what_its_formula_says_differs_by_nothing() -> None:
    (check,) = closed_forms.checks(counted(EST))
    assert check.error == pytest.approx(0)
    assert check.saved == pytest.approx(EST.planned_savings())


def test_blocks_save_more_than_the_whole_because_the_head_is_never_reduced() -> None:
    (check,) = closed_forms.checks(counted(EST))
    assert check.saved.blocks > check.saved.total > 0


def test_a_count_off_the_formula_is_named() -> None:
    assert "beyond 2%" in str(closed_forms.table(counted(EST, factor=1.05)).rows[0])
    assert "beyond 2%" not in str(closed_forms.table(counted(EST, factor=1.01)).rows[0])


def test_an_arm_without_a_finished_run_is_left_out() -> None:
    comparison = counted(EST)
    arm = replace(comparison.arms[0], runs=(SeedRun("r", 0, "running"),))
    assert closed_forms.checks(replace(comparison, arms=(arm,))) == ()


def test_one_run_off_the_formula_is_not_hidden_by_the_mean_over_seeds() -> None:
    comparison = counted(EST)
    (arm,), (bad,) = comparison.arms, counted(EST, factor=1.03).arms[0].runs
    both = replace(arm, runs=(arm.runs[0], replace(bad, code="s", seed=1)))
    together = replace(comparison, arms=(both,))
    assert "beyond 2%" not in str(closed_forms.table(together).rows[0])
    assert ["beyond 2%" in str(row[-1]) for row in closed_forms.by_run(together).rows] == [False, True]
