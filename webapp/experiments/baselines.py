"""The dense arms that a method is fairly held against: as many steps, and as many FLOPs with a full decay of their own.

A schedule follows the share of the budget, so a dense arm with a method's FLOPs as its budget decays to the end;
savings against a baseline cut short are none ("No Train No Gain", Kaddour et al., 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from training.spec import Budget, RunSpec
from webapp.experiments.services import ArmRequest

BASELINE = ("dense",)
LABEL = 100
"""Most characters of an arm's label."""


def matched(arms: Sequence[ArmRequest]) -> tuple[ArmRequest, ...]:
    """The baselines that these arms lack: for each method its dense arm at equal steps, then that at equal FLOPs.

    Arms that do the same work in as many steps are one, whatever their budgets count in.
    """
    known = {_work(arm.spec) for arm in arms}
    added: list[ArmRequest] = []
    for twin in _twins([arm for arm in arms if arm.spec.methods != BASELINE]):
        if (work := _work(twin.spec)) not in known:
            known.add(work)
            added.append(twin)
    return tuple(added)


def completed(arms: Sequence[ArmRequest], *, add: bool) -> tuple[ArmRequest, ...]:
    """The arms of a launch: as asked, then the matched baselines if wanted; unless one is marked, a baseline is chosen.

    That is the dense arm with as many steps as the first method, else the first dense arm, else the first arm.
    """
    whole = (*arms, *matched(arms)) if add else tuple(arms)
    if not whole or any(arm.is_baseline for arm in whole):
        return whole
    works = [_work(arm.spec) for arm in whole]
    method = next((arm for arm in arms if arm.spec.methods != BASELINE), None)
    wanted = _work(equal_steps(method.spec)) if method else works[0]
    dense = (place for place, arm in enumerate(whole) if arm.spec.methods == BASELINE)
    chosen = works.index(wanted) if wanted in works else next(dense, 0)
    return tuple(replace(arm, is_baseline=place == chosen) for place, arm in enumerate(whole))


def asked(arms: Sequence[ArmRequest]) -> tuple[tuple[ArmRequest, ...], bool]:
    """The way back from a launch: the arms without their matched baselines, and whether it had all of these."""
    methods = [arm for arm in arms if arm.spec.methods != BASELINE]
    derived = {_work(arm.spec) for arm in matched(methods)}
    if not methods or not derived <= {_work(arm.spec) for arm in arms}:
        return tuple(arms), not methods
    rest = [arm for arm in arms if _work(arm.spec) not in derived]
    return tuple(replace(arm, is_baseline=False) for arm in rest), True


def equal_steps(spec: RunSpec) -> RunSpec:
    return _dense(spec, Budget(steps=spec.steps()))


def equal_flops(spec: RunSpec) -> RunSpec:
    """With what the arm executes by closed form as the budget."""
    return _dense(spec, Budget(flops=spec.train_flops()))


def _twins(methods: Sequence[ArmRequest]) -> Iterator[ArmRequest]:
    first = equal_steps(methods[0].spec).digest() if methods else ""
    for arm in methods:
        spec = equal_steps(arm.spec)
        label = "Dense, equal steps" if spec.digest() == first else f"Dense, equal steps ({arm.label})"
        yield ArmRequest(label[:LABEL], spec, added=True)
    for arm in methods:
        yield ArmRequest(f"Dense, equal FLOPs ({arm.label})"[:LABEL], equal_flops(arm.spec), added=True)


def _dense(spec: RunSpec, budget: Budget) -> RunSpec:
    kept = spec.model_dump(exclude={"methods", "knobs", "budget"})
    return RunSpec.model_validate(kept | {"methods": BASELINE, "budget": budget})


def _work(spec: RunSpec) -> str:
    """The digest with the budget in steps."""
    return spec.model_copy(update={"budget": Budget(steps=spec.steps())}).digest()
