"""What each arm saved against the baseline: at equal loss, at equal budget, and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from training import catalog
from webapp.results import matching
from webapp.results.comparison import ArmResult, Comparison, Mean, TestScore, Unit
from webapp.results.curves import Curve, Target, cost_to_reach, targets
from webapp.results.statistics import (
    Estimate,
    Evidence,
    Hint,
    hint,
    paired_difference,
    paired_saving,
    saving_at,
    weigh,
)
from webapp.results.verdict import Judgement, Verdict, judge

CLOCKED = frozenset({Unit.SECONDS, Unit.JOULES})
"""Units that depend on the machine and on how it was used."""
UNKNOWN = Estimate(None, 0, note="no target loss")
AtLoss = tuple[tuple[Target, Estimate], ...]


@dataclass(frozen=True, slots=True)
class EqualBudget:
    """At the same steps, or at the same FLOPs: what was saved, and the final loss less the baseline's, in nats."""

    kind: str
    saving: Estimate
    loss: Estimate
    by_unit: Mapping[Unit, Estimate]
    """The saving in every unit that the runs were billed in."""


@dataclass(frozen=True, slots=True)
class Finding:
    """All that is said about one arm, in one unit of cost. Without a fair match nothing is said of savings."""

    arm: ArmResult
    unit: Unit
    at_loss: AtLoss
    budget: EqualBudget | None
    downstream: Mean | None
    judgement: Judgement
    missing: tuple[str, ...]
    at_flops: Estimate | None = None
    """Final loss less that of the dense arm with as many FLOPs and its own decay, in nats; None without one."""
    evidence: Evidence | None = None
    hint: Hint | None = None

    @property
    def headline(self) -> tuple[Target, Estimate] | None:
        return self.at(1.0)

    def at(self, share: float) -> tuple[Target, Estimate] | None:
        """What was saved to the loss that the baseline had at this share of its cost."""
        return next((pair for pair in self.at_loss if pair[0].share == share), None)

    @property
    def cost_label(self) -> str:
        return self.unit.of(self.arm.spec.unit)

    @property
    def matched(self) -> bool:
        return self.judgement.verdict is not Verdict.UNMATCHED


@dataclass(frozen=True, slots=True)
class Contest:
    """Two methods against each other at the headline target: what `ours` saves of the cost of `theirs`."""

    ours: ArmResult
    theirs: ArmResult
    saving: Estimate
    evidence: Evidence
    hint: Hint | None


def findings(comparison: Comparison, unit: Unit = Unit.EXECUTED) -> tuple[Finding, ...]:
    """One finding per arm that is not the baseline; the methods among them are judged together."""
    measured = [_measured(arm, comparison.baseline, unit) for arm in comparison.rivals]
    methods = {each.arm.code: each.headline for each in measured if not each.arm.is_dense and not each.problems}
    evidence = weigh(methods)
    for each in measured:
        if each.arm.is_dense:
            evidence |= weigh({each.arm.code: each.headline})
    return tuple(_finding(each, evidence.get(each.arm.code), comparison, unit) for each in measured)


def claims(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those of methods: a further dense arm is a reference, of which nothing is claimed."""
    return tuple(finding for finding in found if not finding.arm.is_dense)


def contests(found: Sequence[Finding]) -> tuple[Contest, ...]:
    """Every two matched methods at the headline target, all pairs judged together."""
    methods = [finding for finding in claims(found) if finding.headline]
    pairs = list(combinations(methods, 2))
    savings = [
        at_target(a.arm.curves(a.unit), b.arm.curves(b.unit), a.headline[0].loss, b.arm.label)
        for a, b in pairs
        if a.headline
    ]
    evidence = weigh(dict(enumerate(savings)))
    return tuple(
        Contest(a.arm, b.arm, saving, evidence[i], None if evidence[i].holds else hint(saving, len(pairs)))
        for i, ((a, b), saving) in enumerate(zip(pairs, savings, strict=True))
    )


def claimed_ratios(arm: ArmResult) -> tuple[tuple[float, str], ...]:
    """Cost ratios to dense training that its paper states, with the setting of each; none of methods together."""
    claims = catalog.card(arm.spec.methods[0]).claims if len(arm.spec.methods) == 1 else ()
    return tuple((1 - claim.saving, claim.setting) for claim in claims if claim.saving is not None and claim.of_dense)


def at_target(
    ours: Mapping[int, Curve], theirs: Mapping[int, Curve], loss: float, against: str = "baseline"
) -> Estimate:
    """Saving at one target loss, of curves by seed."""
    costs = [{seed: cost_to_reach(curve, loss) for seed, curve in side.items()} for side in (ours, theirs)]
    return saving_at(costs[0], costs[1], against)


@dataclass(frozen=True, slots=True)
class _Measured:
    """An arm before it is judged."""

    arm: ArmResult
    at_loss: AtLoss
    problems: tuple[str, ...]

    @property
    def headline(self) -> Estimate:
        return self.at_loss[0][1] if self.at_loss and self.at_loss[0][0].share == 1.0 else UNKNOWN


def _measured(arm: ArmResult, baseline: ArmResult | None, unit: Unit) -> _Measured:
    problems = matching.problems(arm, baseline)
    if baseline is not None and unit in CLOCKED:
        problems = (*problems, *matching.clock_problems(arm, baseline))
    if baseline is None:
        return _Measured(arm, (), problems)
    ours, theirs = arm.curves(unit), baseline.curves(unit)
    goals = targets(list(theirs.values()))
    return _Measured(arm, tuple((goal, at_target(ours, theirs, goal.loss)) for goal in goals), problems)


def _finding(measured: _Measured, evidence: Evidence | None, comparison: Comparison, unit: Unit) -> Finding:
    """Withholds every saving that is not matched, not only the headline."""
    arm, baseline = measured.arm, comparison.baseline
    missing, twin = matching.missing_baselines(arm, comparison.arms), matching.flops_twin(arm, comparison.arms)
    at_flops = paired_difference(final_losses(arm), final_losses(twin)) if twin else None
    downstream = downstream_difference(arm, baseline) if baseline else None
    judgement = judge(measured.headline, evidence, downstream, measured.problems, at_flops)
    if baseline is None or judgement.verdict is Verdict.UNMATCHED:
        return Finding(arm, unit, (), None, downstream, judgement, missing, at_flops)
    budget = _equal_budget(arm, baseline, unit)
    more = hint(measured.headline, evidence.family) if evidence and not evidence.holds else None
    return Finding(arm, unit, measured.at_loss, budget, downstream, judgement, missing, at_flops, evidence, more)


def _equal_budget(arm: ArmResult, baseline: ArmResult, unit: Unit) -> EqualBudget | None:
    """None where the arms share neither steps nor FLOPs: then no budget is equal."""
    kind = "steps" if matching.same_steps(arm, baseline) else "FLOPs" if matching.same_flops(arm, baseline) else ""
    if not kind:
        return None
    losses = paired_difference(final_losses(arm), final_losses(baseline))
    clocked = not matching.clock_problems(arm, baseline)
    saved = {each: _saved(arm, baseline, each) for each in Unit if clocked or each not in CLOCKED}
    billed = {each: saving for each, saving in saved.items() if saving.n}
    return EqualBudget(kind, saved.get(unit, UNKNOWN), losses, billed)


def _saved(arm: ArmResult, baseline: ArmResult, unit: Unit) -> Estimate:
    ours, theirs = (side.by_seed(lambda run: run.total(unit)) for side in (arm, baseline))
    return paired_saving(ours, theirs)


def final_losses(arm: ArmResult) -> dict[int, float]:
    return arm.by_seed(lambda run: run.final_loss)


def downstream_difference(arm: ArmResult, baseline: ArmResult) -> Mean | None:
    """Accuracy less the baseline's, mean over the tasks both took, each the mean of its metrics; paired by seed.

    Accuracies only: a test without a chance level (a perplexity, say) has no common scale to be averaged on.
    """
    theirs = {score.test: score for score in baseline.scores}
    common = [(score, theirs[score.test]) for score in arm.scores if score.test in theirs and score.chance is not None]
    if not common:
        return None
    seeds = set.intersection(*(set(ours.by_seed) & set(their.by_seed) for ours, their in common))
    tasks = {ours.test.task for ours, _ in common}
    by_task = [[pair for pair in common if pair[0].test.task == task] for task in sorted(tasks)]
    gains = {seed: [np.mean([_gain(*pair, seed) for pair in pairs]) for pairs in by_task] for seed in sorted(seeds)}
    return Mean.of([float(np.mean(found)) for found in gains.values()])


def _gain(ours: TestScore, theirs: TestScore, seed: int) -> float:
    difference = ours.by_seed[seed] - theirs.by_seed[seed]
    return difference if ours.higher_is_better else -difference
