"""The experiment that a method's card asks for, as arms to launch."""

from __future__ import annotations

from typing import Any

from training.catalog import Card
from training.reproduction import Reproduction, Variant
from training.spec import Budget, RunSpec
from webapp.experiments import services
from webapp.experiments.models import Experiment
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


def launch(card: Card, *, project: Project, owner: Any, queue: str = "cpu") -> Experiment:
    """Launch a card's reproduction; ValueError where it has none, LaunchRefused as every launch."""
    if card.reproduction is None:
        raise ValueError(f"the card of {card.name} asks for no reproduction")
    return services.launch(
        project=project, owner=owner, title=title(card),
        question=f"Does {card.title} hold here what its paper claims? The arms and bars are those of its card.",
        arms=arms(card.reproduction), seeds=card.reproduction.seeds, queue=queue,
    )  # fmt: skip
