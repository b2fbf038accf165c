"""Whether a baseline is a fair match for an arm, in reasons. "No Train No Gain" (Kaddour et al., 2023) is why."""

from __future__ import annotations

from collections.abc import Sequence

from training.spec import OptimSpec, RunSpec
from webapp.results.comparison import ArmResult, SeedRun, Unit
from webapp.results.statistics import FEWEST

NEAR = 0.02
"""How far two FLOP totals may differ and still count as the same budget, or a bill and its curve as agreeing."""
LOW = 0.1
"""Share of the peak rate at which a schedule has decayed: Hoffmann et al. (2022) end there."""
COOLDOWN = 0.1
"""Least share of the budget in which a plateau (WSD) decays: shorter ones end higher (Haegele et al., 2024)."""
SETTING = {
    "task": "the task",
    "data": "the data",
    "model": "the model",
    "batch_size": "the batch size",
    "precision": "the precision",
    "eval_points": "the number of evaluations",
}


CLOCKED = {"micro_batches": "the micro-batches", "compile": "torch.compile", "deterministic": "deterministic mode"}
"""Settings that change how long a run takes, and not what it computes."""


def setting_differences(ours: RunSpec, theirs: RunSpec) -> list[str]:
    """What differs beside the method and its budget; each is a reason why a saving may come from elsewhere."""
    found = [name for field, name in SETTING.items() if getattr(ours, field) != getattr(theirs, field)]
    optims = (ours.optim.model_dump(), theirs.optim.model_dump())
    return found + [f"optim.{knob}" for knob in optims[0] if optims[0][knob] != optims[1][knob]]


def same_steps(ours: ArmResult, theirs: ArmResult) -> bool:
    return ours.spec.steps() == theirs.spec.steps()


def same_flops(ours: ArmResult, theirs: ArmResult) -> bool:
    """Executed FLOPs within 2 %: measured where both have finished runs, else by closed form."""
    measured = ours.totals(Unit.EXECUTED), theirs.totals(Unit.EXECUTED)
    if measured[0] and measured[1]:
        a, b = measured[0].value, measured[1].value
    else:
        a, b = ours.spec.train_flops(), theirs.spec.train_flops()
    return abs(a - b) <= NEAR * max(a, b)


def decays(optim: OptimSpec) -> bool:
    """Whether the learning rate comes down in full; a run that ends above that could have ended lower."""
    return optim.floor <= LOW and (optim.schedule != "wsd" or optim.decay >= COOLDOWN)


def stopped(arm: ArmResult) -> tuple[SeedRun, ...]:
    """Finished runs that did not spend their budget: their last loss is not that of a decayed learning rate.

    A method may plan for less of a budget in steps or tokens, and decay over what it plans for.
    """
    budget = arm.spec.budget
    unit = Unit.STEPS if budget.steps else Unit.TOKENS if budget.tokens else Unit.EXECUTED
    planned = float(budget.flops or (budget.steps or budget.tokens or 0) * arm.spec.trained_share())
    step = planned / arm.spec.steps()
    short = planned - max(step, NEAR * planned)
    return tuple(run for run in arm.finished if (run.total(unit) or 0.0) + run.sunk.get(unit.value, 0.0) < short)


def problems(arm: ArmResult, baseline: ArmResult | None) -> tuple[str, ...]:
    """Why this arm has no matched baseline; empty when it has one."""
    if baseline is None:
        return ("no arm is marked as the baseline",)
    found = []
    if different := setting_differences(arm.spec, baseline.spec):
        found.append(f"{_listed(different)} not the same in both arms")
    if not (same_steps(arm, baseline) or same_flops(arm, baseline)):
        found.append(_unequal(arm.spec.steps(), baseline.spec.steps()))
    if not decays(baseline.spec.optim):
        found.append("the baseline's learning rate does not decay in full")
    for name, side in (("the baseline", baseline), ("the arm", arm)):
        if unfinished := [run.state for run in side.runs if not run.succeeded]:
            states = ", ".join(f"{unfinished.count(state)} {state}" for state in dict.fromkeys(unfinished))
            have = "has" if len(unfinished) == 1 else "have"
            found.append(f"{len(unfinished)} of {_runs(len(side.runs))} of {name} {have} not finished ({states})")
        if cut := len(stopped(side)):
            found.append(f"{_runs(cut)} of {name} stopped before the end of the budget")
    shared = {run.seed for run in arm.finished} & {run.seed for run in baseline.finished}
    if len(shared) < FEWEST:
        found.append(f"{_seeds(len(shared))} finished in both arms, {FEWEST} needed")
    paired = [run for run in (*arm.finished, *baseline.finished) if run.seed in shared]
    if unbilled := sum(not _billed(run) for run in paired):
        found.append(f"the ledger of {_runs(unbilled)} is incomplete or disagrees with the curve")
    return tuple(found)


def clock_problems(arm: ArmResult, baseline: ArmResult) -> tuple[str, ...]:
    """Why their wall times and joules do not compare: they depend on machines, and on how those were used."""
    names = [name for field, name in CLOCKED.items() if getattr(arm.spec, field) != getattr(baseline.spec, field)]
    found = [f"{_listed(names)} not the same in both arms"] if names else []
    machines = {run.machine for run in (*arm.finished, *baseline.finished)}
    return (*found, f"the runs were on {len(machines)} kinds of machine") if len(machines) > 1 else tuple(found)


def missing_baselines(arm: ArmResult, arms: Sequence[ArmResult]) -> tuple[str, ...]:
    """Which fair dense twins the experiment lacks: equal steps, equal FLOPs with their own decay."""
    twins = _dense_twins(arm, arms)
    found = [] if any(same_steps(arm, twin) for twin in twins) else ["equal steps"]
    return tuple(found if any(same_flops(arm, twin) for twin in twins) else [*found, "equal FLOPs"])


def flops_twin(arm: ArmResult, arms: Sequence[ArmResult]) -> ArmResult | None:
    """The dense arm that spent as many FLOPs in another number of steps."""
    twins = _dense_twins(arm, arms)
    return next((twin for twin in twins if same_flops(arm, twin) and not same_steps(arm, twin)), None)


def _dense_twins(arm: ArmResult, arms: Sequence[ArmResult]) -> list[ArmResult]:
    others = [other for other in arms if other.is_dense and other.code != arm.code]
    fair = [other for other in others if decays(other.spec.optim) and not stopped(other)]
    return [other for other in fair if not setting_differences(arm.spec, other.spec)]


def _unequal(ours: int, theirs: int) -> str:
    return f"the baseline has neither the arm's number of steps ({theirs:,} against {ours:,}) nor its FLOPs"


def _billed(run: SeedRun) -> bool:
    """Whether the bill's training FLOPs are there and agree with the curve's running total."""
    billed, drawn = run.total(Unit.EXECUTED) or 0.0, run.evaluations[-1].executed if run.evaluations else 0.0
    return billed > 0 and abs(billed - drawn) <= NEAR * billed


def _listed(names: Sequence[str]) -> str:
    text = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{text} {'is' if len(names) == 1 else 'are'}"


def _seeds(count: int) -> str:
    return f"{count or 'no'} {'seed' if count in (0, 1) else 'seeds'}"


def _runs(count: int) -> str:
    return f"{count} {'run' if count == 1 else 'runs'}"
