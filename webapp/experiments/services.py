"""Launching an experiment, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from training import catalog
from training.spec import RunSpec
from webapp.experiments import forecast
from webapp.experiments.data import data_problems
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.planning import memory_bytes, memory_problem
from webapp.runs.models import Run, RunEvent, State
from webapp.teams.models import AuditEvent, Project
from webapp.text import REFUSED, is_line

SEEDS, RUNS, ARMS = 50, 200, 20
"""Most seeds, runs and arms of one launch."""
STUDY_ARMS = 66
"""Most arms that a study asks for at once."""
TEXTS: tuple[Literal["source", "domain"], ...] = ("source", "domain")
LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class ArmRequest:
    """An arm as a person asks for it."""

    label: str
    spec: RunSpec
    is_baseline: bool = False
    added: bool = False
    """A matched baseline that the person did not write."""


class LaunchRefused(ValueError):
    """What is wrong, by path: `seeds`, `title`, `arms.0.model.preset`. Nothing was written."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems.items()))


@transaction.atomic
def launch(
    *,
    project: Project,
    owner: Any,
    title: str,
    question: str = "",
    arms: Sequence[ArmRequest],
    seeds: Sequence[int],
    queue: str,
    stop_dominated: bool = False,
    study: str = "",
    study_knobs: Mapping[str, Any] | None = None,
) -> Experiment:
    """Write the experiment, its arms, and one queued run per arm and seed; the dispatcher finds them.

    Runs are queued seed by seed, so that a comparison over few seeds is there early. Raises LaunchRefused.
    """
    most = STUDY_ARMS if study else ARMS
    if problems := refusals(project=project, title=title, arms=arms, seeds=seeds, queue=queue, most=most):
        raise LaunchRefused(problems)
    experiment = Experiment.objects.create(
        project=project, title=title.strip(), question=question, owner=owner, stop_dominated=stop_dominated,
        study=study, study_knobs=study_knobs or {},
    )  # fmt: skip
    add(experiment, arms, seeds=seeds, queue=queue, actor=owner.get_username(), note="launched")
    AuditEvent.objects.create(actor=owner, project=project, verb="launched", object=f"experiment {experiment.code}")
    return experiment


@transaction.atomic
def add(
    experiment: Experiment, arms: Sequence[ArmRequest], *, seeds: Sequence[int], queue: str, actor: str, note: str
) -> list[Run]:
    """Write arms and their queued runs, with forecasts; whoever calls has seen that nothing stands against them."""
    rows = [
        Arm.objects.create(
            experiment=experiment,
            label=arm.label,
            body=arm.spec.model_dump(mode="json"),
            digest=arm.spec.digest(),
            is_baseline=arm.is_baseline,
        )
        for arm in arms
    ]
    runs = Run.objects.bulk_create([Run(arm=arm, seed=seed, queue=queue) for seed in seeds for arm in rows])
    RunEvent.objects.bulk_create([RunEvent(run=run, now=State.QUEUED, actor=actor, note=note) for run in runs])
    forecast.store(runs, queue)
    return runs


def refusals(
    *, project: Project, title: str, arms: Sequence[ArmRequest], seeds: Sequence[int], queue: str, most: int = ARMS
) -> dict[str, str]:
    """Everything that stands against this launch, by path; empty if nothing does."""
    problems = _about_seeds(seeds) | _about_arms(arms, most)
    if not title.strip() or len(title) > 200 or "\x00" in title:
        problems["title"] = "give a title of 1 to 200 characters"
    if len(seeds) * len(arms) > RUNS:
        problems["seeds"] = f"{len(arms)} arms x {len(seeds)} seeds are more than {RUNS} runs; launch fewer at a time"
    return problems | unsuited(arms, project=project, queue=queue)


def unsuited(arms: Sequence[ArmRequest], *, project: Project, queue: str) -> dict[str, str]:
    """Arms that no worker of the queue can hold, or whose data this project does not have, by path."""
    problems: dict[str, str] = {}
    for place, arm in enumerate(arms):
        if arm.added:  # its network and its data are those of the arm that it matches
            continue
        if message := memory_problem(memory_bytes(arm.spec), queue):
            problems[f"arms.{place}.model.preset"] = message
        found = data_problems(arm.spec, project)
        problems |= {f"arms.{place}.{path}": message for path, message in found.items()}
    return problems


def _about_seeds(seeds: Sequence[int]) -> dict[str, str]:
    doubled = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if not seeds:
        return {"seeds": "give at least one seed"}
    if doubled:
        return {"seeds": f"given twice: {', '.join(map(str, doubled))}; a doubled seed is the same run"}
    if len(seeds) > SEEDS:
        return {"seeds": f"{len(seeds)} seeds; at most {SEEDS} in one launch"}
    if min(seeds) < 0 or max(seeds) > LARGEST_SEED:
        return {"seeds": f"seeds lie between 0 and {LARGEST_SEED}"}
    return {}


def _about_arms(arms: Sequence[ArmRequest], most: int) -> dict[str, str]:
    if not arms:
        return {"arms": "choose at least one method"}
    if len(arms) > most:
        added = sum(arm.added for arm in arms)
        counted = f"{len(arms)} arms" + (f", {added} of them matched baselines" if added else "")
        return {"arms": f"{counted}; at most {most} in one experiment"}
    problems: dict[str, str] = {}
    first: dict[str, int] = {}
    for place, arm in enumerate(arms):
        twin = first.setdefault(arm.spec.digest(), place)
        if twin != place:
            problems[f"arms.{place}"] = f"the same as {arms[twin].label!r}; only seeds may repeat an arm"
        if arm.spec.task != (task := arms[0].spec.task):
            words = catalog.task(task).title
            problems[f"arms.{place}.task"] = f"the first arm's task is {words}; arms of one experiment share it"
        if not arm.label.strip() or len(arm.label) > 100 or "\x00" in arm.label:
            problems[f"arms.{place}.label"] = "give a label of 1 to 100 characters"
        elif not is_line(arm.label):
            problems[f"arms.{place}.label"] = REFUSED
    if sum(arm.is_baseline for arm in arms) != 1:
        problems["arms"] = "exactly one arm is the baseline"
    return problems
