"""Launching a study: an ordinary launch of the runs that it asks for first.

What is wrong is named by the paths of a study's body: `knobs.steps`, `base.data.domain`, `seeds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from pydantic import ValidationError

from training import catalog
from training.catalog import StudyCard
from training.knobs import Knobs
from training.spec import RunSpec, problems
from webapp.experiments import services
from webapp.experiments.models import Experiment
from webapp.experiments.payload import changed
from webapp.experiments.services import STUDY_ARMS, ArmRequest, LaunchRefused
from webapp.teams.models import Project


def judged(name: str, knobs: Mapping[str, Any], base: Mapping[str, Any]) -> tuple[Knobs, RunSpec]:
    """A study's knobs and what its runs share, `base` being changes to the card's; LaunchRefused by path."""
    card, wrong = catalog.study(name), dict[str, str]()
    usual = RunSpec.model_validate(dict(card.base))
    try:
        found = card.knobs.model_validate(knobs)
    except ValidationError as failure:
        wrong |= {f"knobs.{path}": message for path, message in problems(failure).items()}
    try:
        spec = RunSpec.model_validate(changed(dict(card.base), dict(base)))
    except ValidationError as failure:
        wrong |= {f"base.{path}": message for path, message in problems(failure).items()}
    else:
        ignored = [field for field in card.decides if getattr(spec, field) != getattr(usual, field)]
        wrong |= {f"base.{field}": "the study sets this itself, from its knobs" for field in ignored}
    if not wrong:
        wrong = {f"knobs.{knob}": sentence for knob, sentence in card.refuses(found, spec).items()}
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
        card, wrong = catalog.study(name), problems(failure)
        raise LaunchRefused({_place(card, path): message for path, message in wrong.items()}) from None
    return requests(name, specs, baseline=True)


def refusals(
    name: str, arms: Sequence[ArmRequest], *, project: Project, title: str, seeds: Sequence[int], queue: str
) -> dict[str, str]:
    """Everything that stands against launching these arms of a study, by path."""
    found = services.refusals(project=project, title=title, arms=arms, seeds=seeds, queue=queue, most=STUDY_ARMS)
    return _in_body(catalog.study(name), found, arms)


def launch(
    name: str, knobs: Knobs, base: RunSpec, *, project: Project, owner: Any, title: str, question: str = "",
    seeds: Sequence[int] = (0,), queue: str = "cpu",
) -> Experiment:  # fmt: skip
    """Write the study with the runs that it asks for first; the sweep asks again. LaunchRefused as every launch."""
    arms = asked(name, knobs, base)
    try:
        return services.launch(
            project=project, owner=owner, title=title, question=question, arms=arms, seeds=seeds, queue=queue,
            study=name, study_knobs=knobs.model_dump(mode="json"),
        )  # fmt: skip
    except LaunchRefused as refusal:
        raise LaunchRefused(_in_body(catalog.study(name), refusal.problems, arms)) from None


def _place(card: StudyCard, path: str) -> str:
    """A path of a run's spec as the knob that its field comes from, or else as a path of `base`."""
    knob = card.decides.get(path.partition(".")[0])
    return f"knobs.{knob}" if knob else f"base.{path}"


def _in_body(card: StudyCard, found: Mapping[str, str], arms: Sequence[ArmRequest]) -> dict[str, str]:
    """Refusals of a launch by the paths of a study; of arms that share one then, the first is told."""
    out: dict[str, str] = {}
    for path, message in found.items():
        group, number, inner = (*path.split(".", 2), "", "")[:3]
        if group != "arms" or inner.partition(".")[0] not in RunSpec.model_fields:
            out[path] = message
        elif inner in card.varies and (value := attrgetter(inner))(arms[int(number)].spec) != value(arms[0].spec):
            out.setdefault(f"knobs.{card.varies[inner]}", f"{arms[int(number)].label}: {message}")
        elif (place := _place(card, inner)).startswith("base."):
            out.setdefault(place, message)
        else:
            out.setdefault(place, f"{arms[int(number)].label}: {message}")
    return out
