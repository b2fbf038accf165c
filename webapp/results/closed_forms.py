"""Counted FLOPs beside the closed form of each arm: whether the method executed what its formula says it should."""

from __future__ import annotations

from dataclasses import dataclass, replace

from training.models.shape import Savings, savings
from training.records import OUTSIDE_TRAINING
from webapp.results import notation
from webapp.results.comparison import ArmResult, Comparison
from webapp.results.tables import Cell, Table, mean_lines

TOLERANCE = 0.02
"""A larger difference means an operator without a formula, or a method that does not do what its card says."""
NOTE = (
    "Saved: of dense training at equal steps; papers often leave the head out. "
    "A difference above 2% is a fault: an operator without a formula, or a method off its card."
)


@dataclass(frozen=True, slots=True)
class Check:
    """Training FLOPs per token or image, planned and counted, and what each saves of dense training at equal steps."""

    arm: ArmResult
    planned: float
    counted: float

    @property
    def error(self) -> float:
        """Counted over planned, less one."""
        return self.counted / self.planned - 1

    @property
    def saved(self) -> Savings:
        spec = self.arm.spec
        return savings(spec.shape, spec.length, self.counted * spec.trained_share())


def checks(comparison: Comparison) -> tuple[Check, ...]:
    """One check per arm with a finished run."""
    return tuple(check for arm in comparison.arms if (check := _check(arm)))


def table(comparison: Comparison) -> Table:
    rows = [
        (
            check.arm.label,
            notation.si(check.planned, "FLOP"),
            notation.si(check.counted, "FLOP"),
            f"{100 * check.error:+.2f}%" + (" beyond 2%" if abs(check.error) > TOLERANCE else ""),
            *(
                notation.percent(share, digits=2)
                for pair in zip(check.saved, check.arm.spec.planned_savings(), strict=True)
                for share in pair
            ),
        )
        for check in checks(comparison)
    ]
    headings = ("arm", *_per(comparison), "difference", "saved without head, counted", "saved without head, formula",
                "saved, counted", "saved, formula")  # fmt: skip
    return Table("Training FLOPs counted, and by the method's closed form", headings, tuple(rows))


def by_run(comparison: Comparison) -> Table:
    """The same for every finished run by itself: a mean over seeds could hide one that differs."""
    rows: list[tuple[Cell, ...]] = []
    for arm in comparison.arms:
        for run in arm.finished:
            if check := _check(replace(arm, runs=(run,))):
                fault = " beyond 2%" if abs(check.error) > TOLERANCE else ""
                rows.append((arm.label, run.seed, check.planned, check.counted, f"{100 * check.error:+.2f}%{fault}"))
    headings = ("arm", "seed", *_per(comparison), "difference")
    caption = f"Training FLOPs per {comparison.counted} of each finished run, counted and by the closed form"
    return Table(caption, headings, tuple(rows))


def _per(comparison: Comparison) -> tuple[str, str]:
    return f"per {comparison.counted}, formula", f"per {comparison.counted}, counted"


def _check(arm: ArmResult) -> Check | None:
    """Per token that was trained on: a method that trains fewer steps than its budget has costs no less per token."""
    lines = [costs for (_, purpose), costs in mean_lines(arm).items() if purpose not in OUTSIDE_TRAINING]
    executed, tokens = sum(costs[0] for costs in lines), sum(costs[3] for costs in lines)
    return Check(arm, arm.spec.flops_per_trained_token(), executed / tokens) if tokens else None
