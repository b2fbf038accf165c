"""What each arm saved against the baseline: at equal loss, at equal budget, and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training import catalog
from webapp.results import matching
from webapp.results.comparison import ArmResult, Comparison, Mean, TestScore, Unit
from webapp.results.curves import Curve, Target, cost_to_reach, targets
from webapp.results.statistics import Estimate, paired_difference, paired_saving, saving_at
from webapp.results.verdict import Judgement, judge


@dataclass(frozen=True, slots=True)
class EqualBudget:
    """At the same steps, or at the same FLOPs: what was saved, and the final loss less the baseline's, in nats."""

    kind: str
    saving: Estimate
    loss: Estimate


@dataclass(frozen=True, slots=True)
class Finding:
    """All that is said about one arm, in one unit of cost."""

    arm: ArmResult
    unit: Unit
    at_loss: tuple[tuple[Target, Estimate], ...]
    budget: EqualBudget | None
    downstream: Mean | None
    judgement: Judgement
    missing: tuple[str, ...]
    at_flops: Estimate | None = None
    """Final loss less that of the dense arm with as many FLOPs and its own decay, in nats; None without one."""

    @property
    def headline(self) -> tuple[Target, Estimate] | None:
        return self.at_loss[0] if self.at_loss and self.at_loss[0][0].share == 1.0 else None


def findings(comparison: Comparison, unit: Unit = Unit.EXECUTED) -> tuple[Finding, ...]:
    """One finding per arm that is not the baseline."""
    return tuple(_finding(arm, comparison, unit) for arm in comparison.rivals)


def claimed_ratios(arm: ArmResult) -> tuple[tuple[float, str], ...]:
    """Cost ratios that the papers of this arm's methods state, with the setting each holds for."""
    claims = [claim for name in arm.spec.methods for claim in catalog.card(name).claims]
    return tuple((1 - claim.saving, claim.setting) for claim in claims if claim.saving is not None)


def at_target(ours: Mapping[int, Curve], theirs: Mapping[int, Curve], loss: float) -> Estimate:
    """Saving at one target loss, of curves by seed."""
    costs = [{seed: cost_to_reach(curve, loss) for seed, curve in side.items()} for side in (ours, theirs)]
    return saving_at(*costs)


def _finding(arm: ArmResult, comparison: Comparison, unit: Unit) -> Finding:
    baseline, missing = comparison.baseline, matching.missing_baselines(arm, comparison.arms)
    if baseline is None:
        return Finding(arm, unit, (), None, None, judge(Estimate(None, 0), None, matching.problems(arm, None)), missing)
    ours, theirs = arm.curves(unit), baseline.curves(unit)
    at_loss = tuple((goal, at_target(ours, theirs, goal.loss)) for goal in targets(list(theirs.values())))
    headline = at_loss[0][1] if at_loss and at_loss[0][0].share == 1.0 else Estimate(None, 0, note="no target loss")
    downstream = downstream_difference(arm, baseline)
    judgement = judge(headline, downstream, matching.problems(arm, baseline))
    budget, twin = _equal_budget(arm, baseline, unit), matching.flops_twin(arm, comparison.arms)
    at_flops = paired_difference(final_losses(arm), final_losses(twin)) if twin else None
    return Finding(arm, unit, at_loss, budget, downstream, judgement, missing, at_flops)


def _equal_budget(arm: ArmResult, baseline: ArmResult, unit: Unit) -> EqualBudget | None:
    """None where the arms share neither steps nor FLOPs: then no budget is equal."""
    kind = "steps" if matching.same_steps(arm, baseline) else "FLOPs" if matching.same_flops(arm, baseline) else ""
    if not kind:
        return None
    ours, theirs = (side.by_seed(lambda run: run.total(unit)) for side in (arm, baseline))
    losses = paired_difference(final_losses(arm), final_losses(baseline))
    return EqualBudget(kind, paired_saving(ours, theirs), losses)


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
