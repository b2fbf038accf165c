"""A launch as plain values: what the form shows, what REST takes, and what an experiment was launched with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training import catalog
from training.spec import RunSpec
from webapp.datasets.sources import HUB
from webapp.experiments.baselines import asked
from webapp.experiments.fields import flat
from webapp.experiments.models import Experiment
from webapp.experiments.seeds import seeds_text
from webapp.experiments.services import ArmRequest

OWN = {"version", "task", "methods", "knobs"}
"""Fields of a spec that an arm's own settings cannot change: they have fields of their own, or all arms share them."""


def start(task: str | None) -> RunSpec:
    """What a spec of this task starts from; of an unknown one, the spec's own defaults."""
    return RunSpec.model_validate({"task": task}) if task in catalog.tasks() else RunSpec()


def shared(spec: RunSpec) -> dict[str, Any]:
    """What an arm may share with others, as plain values; a limit that is not set is left out."""
    plain = spec.model_dump(mode="json", exclude=OWN)
    return plain | {"budget": spec.budget.model_dump(exclude_none=True)}


def changes(ours: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """What of `ours` differs from `base`; a budget differs as a whole."""
    found: dict[str, Any] = {}
    for name, value in ours.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict) and name != "budget":
            if inner := changes(value, base[name]):
                found[name] = inner
        elif name not in base or value != base[name]:
            found[name] = value
    return found


def changed(base: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    """The way back: `base` with these changes."""
    found = dict(base)
    for name, value in by.items():
        deeper = isinstance(value, dict) and isinstance(base.get(name), dict) and name != "budget"
        found[name] = changed(base[name], value) if deeper else value
    return found


def without_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """What is worth writing: methods, budget, and what is not as it would be anyway."""
    knobs = {name: catalog.card(name).knobs() for name in spec["methods"] if name in catalog.names()}
    usual = shared(start(spec.get("task"))) | {"task": RunSpec().task}
    usual |= {"knobs": {name: found.model_dump(mode="json") for name, found in knobs.items()}}
    return {name: spec[name] for name in ("methods", "budget") if name in spec} | changes(spec, usual)


def form_values(arms: Sequence[ArmRequest], seeds: Sequence[int], **rest: Any) -> dict[str, Any]:
    """Initial values of the form. The first arm's settings are the shared ones; others say what they change."""
    base = shared(arms[0].spec)
    kind, amount = next(iter(base["budget"].items()))
    values: dict[str, Any] = flat({name: value for name, value in base.items() if name != "budget"})
    values["task"] = arms[0].spec.task
    if str(values["data.source"]).startswith(HUB):
        values |= {"data.hub": values["data.source"].removeprefix(HUB), "data.source": "sotu"}
    for number, arm in enumerate(arms):
        prefix = f"arms.{number}."
        knobs = {name: found.model_dump(mode="json") for name, found in arm.spec.knobs.items()}
        values |= {prefix + "methods": list(arm.spec.methods), prefix + "label": arm.label}
        values |= {prefix + "is_baseline": arm.is_baseline, prefix + "changes": changes(shared(arm.spec), base)}
        values |= flat(knobs, f"{prefix}knobs.")
    return values | {"budget.kind": kind, "budget.amount": amount, "seeds": seeds_text(seeds), **rest}


def cloned(experiment: Experiment) -> dict[str, Any]:
    """Form values that repeat an experiment; matched baselines that it has are left to be made again."""
    rows = experiment.arms.order_by("pk").prefetch_related("runs")
    arms, complete = asked([ArmRequest(row.label, row.spec, row.is_baseline) for row in rows])
    runs = [run for row in rows for run in row.runs.all()]
    return form_values(
        arms,
        sorted({run.seed for run in runs}),
        title=experiment.title,
        question=experiment.question,
        project=experiment.project.slug,
        queue=runs[0].queue if runs else "",
        matched_baselines=complete,
        stop_dominated=experiment.stop_dominated,
    )
