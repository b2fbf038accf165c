"""Launching a study: an ordinary launch of the runs that it asks for first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from training import catalog
from training.knobs import Knobs
from training.spec import RunSpec, problems
from webapp.experiments import services
from webapp.experiments.models import Experiment
from webapp.experiments.payload import changed
from webapp.experiments.services import ArmRequest, LaunchRefused
from webapp.teams.models import Project


def judged(name: str, knobs: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[Knobs, RunSpec]:
    """A study's knobs and what its runs share, `base` being changes to the card's; LaunchRefused by path."""
    card, wrong = catalog.study(name), dict[str, str]()
    try:
        found = card.knobs.model_validate(knobs)
    except ValidationError as failure:
        wrong |= {f"knobs.{path}": message for path, message in problems(failure).items()}
    try:
        spec = RunSpec.model_validate(changed(dict(card.base), dict(base)))
    except ValidationError as failure:
        wrong |= {f"base.{path}": message for path, message in problems(failure).items()}
    if wrong:
        raise LaunchRefused(wrong)
    return found, spec


def requests(name: str, specs: Iterable[RunSpec], *, baseline: bool) -> list[ArmRequest]:
    """An arm per spec, labelled by what tells it from the others; the first is held as the baseline if wanted."""
    label = catalog.load_study(name).label
    return [ArmRequest(label(spec), spec, is_baseline=baseline and place == 0) for place, spec in enumerate(specs)]


def asked(name: str, knobs: Knobs, base: RunSpec) -> list[ArmRequest]:
    """The arms that a study begins with; LaunchRefused where its knobs and its base do not suit each other."""
    try:
        specs = catalog.load_study(name).ask(knobs, base, ())
    except ValidationError as failure:
        raise LaunchRefused({f"base.{path}": message for path, message in problems(failure).items()}) from None
    return requests(name, specs, baseline=True)


def launch(
    name: str, knobs: Knobs, base: RunSpec, *, project: Project, owner: Any, title: str, question: str = "",
    seeds: Sequence[int] = (0,), queue: str = "cpu",
) -> Experiment:  # fmt: skip
    """Write the study with the runs that it asks for first; the sweep asks again. LaunchRefused as every launch."""
    return services.launch(
        project=project, owner=owner, title=title, question=question, arms=asked(name, knobs, base), seeds=seeds,
        queue=queue, study=name, study_knobs=knobs.model_dump(mode="json"),
    )  # fmt: skip
