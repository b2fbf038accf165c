"""Whether methods add up: what an arm of several costs, beside the product of what each of them alone leaves of dense.

A factorial plan makes the arms: dense, each method alone, all together, with the same settings, budget and seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from training.spec import RunSpec
from webapp.results import matching, notation
from webapp.results.comparison import ArmResult, Comparison, Unit
from webapp.results.curves import cost_to_reach, targets
from webapp.results.statistics import Estimate, paired_saving
from webapp.results.tables import Table

NOTE = (
    "Product of the parts: of each method alone, the share of dense training's cost that it leaves, multiplied. "
    "Together ÷ product below 1 saves more than the parts. In brackets the 95% interval over seeds, paired by seed; "
    "more, less or as the parts is said only where there is one."
)
NOT_SHOWN = "not shown"
SAME = 1e-9
"""Counted FLOPs are exact: a smaller difference is one of rounding, and over seeds it may have no spread."""
BySeed = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One kind of cost of one arm, as shares of dense.

    `excess` is what it saves of the product; `note` says why nothing is shown.
    """

    arm: ArmResult
    parts: tuple[ArmResult, ...]
    cost: str
    together: Estimate
    product: Estimate
    excess: Estimate
    note: str = ""

    @property
    def words(self) -> str:
        """What the interval says of it."""
        if self.note:
            return f"{NOT_SHOWN}: {self.note}"
        span, found = self.excess.interval, self.excess.value
        if span is None or found is None:
            return f"not judged: {self.excess.note}"
        if abs(found) < SAME:
            return "costs as the parts"
        if span.low <= 0 <= span.high:
            return "costs as the parts, within the interval"
        return "saves more than the parts" if found > 0 else "saves less than the parts"

    @property
    def sentence(self) -> str:
        names = " and ".join(part.label for part in self.parts)
        return (
            f"{self.arm.label} needs {_ratio(self.together)} of the dense arm's {self.cost}, "
            f"the product of {names} is {_ratio(self.product)}: {self.words}."
        )


def interactions(comparison: Comparison) -> tuple[Interaction, ...]:
    """Executed and effective FLOPs, of the whole run and at equal loss, of every arm whose parts ran alone too."""
    found: list[Interaction] = []
    for arm in comparison.arms:
        dense, *parts = (_alone(arm, comparison, name) for name in ("dense", *arm.spec.methods))
        known = tuple(part for part in parts if part is not None)
        if dense is None or len(parts) < 2 or len(known) < len(parts):
            continue
        for unit in (Unit.EXECUTED, Unit.EFFECTIVE):
            found += _of_the_run(arm, known, dense, unit)
            found += _at_equal_loss(arm, known, dense, unit, comparison)
    return tuple(found)


def said(found: tuple[Interaction, ...]) -> str:
    """A sentence for each arm, of the first cost that is shown."""
    first = {each.arm.code: each for each in reversed(found) if not each.note}
    return " ".join(each.sentence for each in reversed(first.values()))


def in_words(found: tuple[Interaction, ...]) -> Table:
    rows = [
        (
            each.arm.label,
            each.cost,
            _ratio(each.together),
            _ratio(each.product),
            _ratio(each.excess),
            each.together.n,
            each.words,
        )
        for each in found
    ]
    headings = ("arm", "cost", "together", "product of the parts", "together ÷ product", "n", "together it")
    return Table("Methods together, as shares of the dense arm's cost [95% interval over seeds]", headings, tuple(rows))


def in_numbers(found: tuple[Interaction, ...]) -> Table:
    rows = [
        (each.arm.label, " + ".join(part.label for part in each.parts), each.cost, *_ends(each.together),
         *_ends(each.product), *_ends(each.excess), each.together.n, each.words)
        for each in found
    ]  # fmt: skip
    headings = ("arm", "parts", "cost", "together", "low", "high", "product of the parts", "low", "high",
                "together ÷ product", "low", "high", "n", "together it")  # fmt: skip
    return Table("Methods together, as shares of the dense arm's cost", headings, tuple(rows))


def _alone(arm: ArmResult, comparison: Comparison, method: str) -> ArmResult | None:
    """The arm of this method and no other, with the same knobs, settings and budget; None for an arm of one method."""
    if len(arm.spec.methods) < 2:
        return None
    knobs = {name: knobs for name, knobs in arm.spec.knobs.items() if name == method}
    wanted = RunSpec.model_validate({**arm.spec.model_dump(), "methods": (method,), "knobs": knobs}).digest()
    return next((other for other in comparison.arms if other.spec.digest() == wanted), None)


def _of_the_run(arm: ArmResult, parts: tuple[ArmResult, ...], dense: ArmResult, unit: Unit) -> list[Interaction]:
    """Nothing where the budget is in FLOPs: then all of them cost the same, by design."""
    if arm.spec.budget.flops is not None:
        return []
    costs = [each.by_seed(lambda run: run.total(unit)) for each in (dense, arm, *parts)]
    return [_interaction(arm, parts, f"{unit.label}, whole run", costs)]


def _at_equal_loss(
    arm: ArmResult, parts: tuple[ArmResult, ...], dense: ArmResult, unit: Unit, comparison: Comparison
) -> list[Interaction]:
    """To the dense arm's final loss; withheld where a saving is, and where a seed did not get there in its run."""
    goal = next((goal for goal in targets(list(dense.curves(unit).values())) if goal.share == 1.0), None)
    cost = f"{unit.label} to its final loss"
    if goal is None or not all(each.curves(unit) for each in (arm, *parts)):
        return []
    reached = [
        {seed: cost_to_reach(curve, goal.loss) for seed, curve in each.curves(unit).items()}
        for each in (dense, arm, *parts)
    ]
    problems = [problem for each in (arm, *parts) for problem in matching.problems(each, comparison.baseline)]
    if problems or not dense.is_baseline:
        return [_withheld(arm, parts, cost, problems[0] if problems else "the baseline is another arm")]
    if any(reach.kind != "reached" for side in reached for reach in side.values()):
        return [_withheld(arm, parts, cost, "not every seed reached it, or one was there too early to tell")]
    return [_interaction(arm, parts, cost, [{seed: reach.cost for seed, reach in side.items()} for side in reached])]


def _interaction(arm: ArmResult, parts: tuple[ArmResult, ...], cost: str, costs: Sequence[BySeed]) -> Interaction:
    """`costs` of dense, of all methods together, and of each part."""
    dense, ours, *alone = ({seed: value for seed, value in side.items() if value > 0} for side in costs)
    seeds = set.intersection(*(set(side) for side in (dense, ours, *alone)))
    together = {seed: ours[seed] / dense[seed] for seed in seeds}
    product = {seed: prod(side[seed] / dense[seed] for side in alone) for seed in seeds}
    whole = dict.fromkeys(seeds, 1.0)
    left = paired_saving(together, whole), paired_saving(product, whole)
    return Interaction(arm, parts, cost, *left, paired_saving(together, product))


def _withheld(arm: ArmResult, parts: tuple[ArmResult, ...], cost: str, note: str) -> Interaction:
    nothing = Estimate(None, 0)
    return Interaction(arm, parts, cost, nothing, nothing, nothing, note)


def _ends(saving: Estimate) -> tuple[float | None, float | None, float | None]:
    """A saving and its interval as ratios of cost."""
    if saving.value is None:
        return None, None, None
    span = saving.interval
    return 1 - saving.value, 1 - span.high if span else None, 1 - span.low if span else None


def _ratio(saving: Estimate) -> str:
    """`0.56 [0.55, 0.57]`."""
    value, low, high = _ends(saving)
    if value is None:
        return notation.NONE
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")
