"""The whole comparison at a glance: a row per arm for page and terminal, and plain JSON for REST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from webapp.results import inherited, notation
from webapp.results.ask import Sources
from webapp.results.comparison import ArmResult, Comparison, Mean, Test, Unit
from webapp.results.savings import Contest, Finding, contests, findings
from webapp.results.tables import Table
from webapp.results.wording import answer


def arms(comparison: Comparison) -> Table:
    """One row per arm: the table that `make demo` prints."""
    rows = comparison_table(comparison)
    return Table("Arms", tuple(rows[0]) if rows else (), tuple(tuple(row.values()) for row in rows))


def comparison_table(comparison: Comparison, found: Sequence[Finding] | None = None) -> list[dict[str, str]]:
    """Rows ready to print: one per arm, the same columns in each; `found` spares judging twice."""
    by_arm = {finding.arm.code: finding for finding in (findings(comparison) if found is None else found)}
    return [_row(arm, comparison.tests, by_arm.get(arm.code)) for arm in comparison.arms]


def _row(arm: ArmResult, tests: tuple[Test, ...], finding: Finding | None) -> dict[str, str]:
    finding = None if arm.is_dense else finding  # a further dense arm is a reference, not a claim
    totals = {unit: _total(arm.totals(unit), unit) for unit in Unit}
    by_test = {score.test: score for score in arm.scores}
    budget = finding.budget if finding else None
    headline = finding.headline[1] if finding and finding.headline else None
    withheld = notation.WITHHELD if finding and not finding.matched else ""
    return {
        "arm": arm.label,
        "verdict": finding.judgement.verdict.value if finding else "baseline",
        "saving at equal loss": withheld or notation.saving(headline),
        "saving at equal budget": withheld or notation.saving(budget.saving if budget else None),
        "loss difference": notation.nats(budget.loss if budget else None),
        "final val/loss": notation.loss(arm.final_loss),
        "executed FLOPs": totals[Unit.EXECUTED],
        "effective FLOPs": totals[Unit.EFFECTIVE],
        "wall time": totals[Unit.SECONDS],
        **{test.title: notation.score(by_test.get(test)) for test in tests},
        "seeds": f"{len(arm.finished)} of {len(arm.runs)}",
    }


def _total(mean: Mean | None, unit: Unit) -> str:
    return notation.quantity(mean.value, unit) if mean else notation.NONE


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The page as plain JSON values: arms with runs, totals and scores, and what was found, in executed FLOPs."""
    found = findings(comparison)
    return {
        "experiment": comparison.code,
        "title": comparison.title,
        "question": comparison.question,
        "baseline": comparison.baseline.code if comparison.baseline else None,
        "inherited_weights": Sources.CHARGED.value if inherited.inherits(comparison) else inherited.NOTHING,
        "arms": [_arm_json(arm) for arm in comparison.arms],
        "findings": [_finding_json(finding) for finding in found],
        "contests": [_contest_json(contest) for contest in contests(found)],
    }


def _arm_json(arm: ArmResult) -> dict[str, Any]:
    return {
        "code": arm.code,
        "label": arm.label,
        "methods": list(arm.spec.methods),
        "is_baseline": arm.is_baseline,
        "runs": [{"code": run.code, "seed": run.seed, "state": run.state} for run in arm.runs],
        "totals": {unit.value: _mean_json(arm.totals(unit)) for unit in Unit},
        "final_loss": _mean_json(arm.final_loss),
        "scores": [
            {**asdict(score.test), "n": score.n, "chance": score.chance, **(_mean_json(score.mean) or {})}
            for score in arm.scores
        ],
    }


def _mean_json(mean: Mean | None) -> dict[str, Any] | None:
    return {"mean": mean.value, "stderr": mean.stderr, "seeds": mean.n} if mean else None


def _finding_json(finding: Finding) -> dict[str, Any]:
    said, budget = answer(finding), finding.budget
    return {
        "arm": finding.arm.code,
        "unit": finding.unit.value,
        "verdict": said.verdict.value,
        "answer": " ".join((said.strong, *said.sentences)),
        "reasons": list(finding.judgement.reasons),
        "missing_baselines": list(finding.missing),
        "at_equal_loss": [
            {"share": target.share, "loss": target.loss, **asdict(estimate)} for target, estimate in finding.at_loss
        ],
        "at_equal_budget": budget
        and {
            "kind": budget.kind,
            "saving": asdict(budget.saving),
            "loss": asdict(budget.loss),
            "by_unit": {unit.value: asdict(saving) for unit, saving in budget.by_unit.items()},
        },
        "evidence": finding.evidence and asdict(finding.evidence),
        "more_seeds": finding.hint and asdict(finding.hint),
        "loss_at_equal_flops": finding.at_flops and asdict(finding.at_flops),
        "downstream": _mean_json(finding.downstream),
    }


def _contest_json(contest: Contest) -> dict[str, Any]:
    return {
        "arm": contest.ours.code,
        "against": contest.theirs.code,
        "saving": asdict(contest.saving),
        "evidence": asdict(contest.evidence),
        "more_seeds": contest.hint and asdict(contest.hint),
    }
