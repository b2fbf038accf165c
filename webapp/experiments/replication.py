"""The experiment that a method's card asks for, as arms to launch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice
from typing import Any

from training.catalog import Card
from training.reproduction import Reproduction, Variant
from training.spec import Budget, RunSpec
from webapp.experiments import services
from webapp.experiments.models import Experiment
from webapp.runs.models import Run
from webapp.teams.models import Project


def arms(asked: Reproduction) -> list[services.ArmRequest]:
    """The arms in the card's order, the first being the baseline."""
    specs: dict[str, RunSpec] = {}
    for variant in asked.arms:
        specs[variant.label] = _spec(asked, variant, specs)
    return [
        services.ArmRequest(label, spec, is_baseline=place == 0) for place, (label, spec) in enumerate(specs.items())
    ]


def _spec(asked: Reproduction, variant: Variant, before: dict[str, RunSpec]) -> RunSpec:
    budget = {"budget": Budget(flops=before[variant.flops_of].train_flops())} if variant.flops_of else {}
    return RunSpec.model_validate({**asked.spec, **variant.changes, **budget})


def title(card: Card) -> str:
    return f"Reproduction: {card.title}"


def fresh_seeds(card: Card, user: Any) -> tuple[int, ...]:
    """As many seeds as the card asks for, that neither its evidence nor a run this person may see has used."""
    if (asked := card.reproduction) is None:
        return ()
    judged = next(arm.spec for arm in arms(asked) if arm.label == asked.judged)
    runs = Run.objects.for_user(user).filter(arm__digest=judged.digest())
    used = {*asked.seeds, *runs.values_list("seed", flat=True)}
    return tuple(islice((seed for seed in count() if seed not in used), len(asked.seeds)))


def launch(
    card: Card, *, project: Project, owner: Any, queue: str = "cpu", seeds: Sequence[int] | None = None
) -> Experiment:
    """Launch a card's reproduction, with its own seeds or with these.

    ValueError where it has none, LaunchRefused as every launch.
    """
    if card.reproduction is None:
        raise ValueError(f"the card of {card.name} asks for no reproduction")
    return services.launch(
        project=project, owner=owner, title=title(card),
        question=f"Does {card.title} hold here what its paper claims? The arms and bars are those of its card.",
        arms=arms(card.reproduction), seeds=seeds or card.reproduction.seeds, queue=queue,
    )  # fmt: skip
