"""The method pages: a card as people read it, its claims beside what was measured, and its reproduction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from pydantic.fields import FieldInfo

from training import catalog
from training.catalog import Card
from training.evidence import Evidence, setting
from training.knobs import Knobs
from webapp.experiments import replication
from webapp.experiments.arms import partners
from webapp.experiments.fields import flat, leaves, range_text
from webapp.experiments.planning import queues
from webapp.experiments.services import LaunchRefused
from webapp.results import replications
from webapp.results.settled import settled
from webapp.teams.access import person, writable


class KnobRow(NamedTuple):
    """A knob as its method's page shows it."""

    path: str
    info: FieldInfo
    values: str
    default: Any
    presets: list[Any]


class ArmRow(NamedTuple):
    """An arm of the evidence as the page shows it."""

    label: str
    loss: str
    flops: float
    digest: str
    runs: list[str]


def knob_rows(knobs: type[Knobs], presets: Iterable[Knobs] = ()) -> list[KnobRow]:
    known = [flat(preset.model_dump()) for preset in presets]
    return [
        KnobRow(path, info, range_text(info), info.get_default(), [values[path] for values in known])
        for path, info in leaves(knobs)
    ]


def arm_rows(found: Evidence) -> list[ArmRow]:
    return [
        ArmRow(
            arm.label,
            f"{arm.loss:.3f} ± {arm.stderr:.3f}",
            arm.executed_flops,
            arm.digest,
            [f"{run.code} (seed {run.seed}, weights {run.weights[:12]}, loss {run.loss:.3f})" for run in arm.runs],
        )
        for arm in found.arms
    ]


@require_GET
def methods(request: HttpRequest) -> HttpResponse:
    """All methods, each with its claim and what was measured."""
    return render(request, "experiments/methods.html", {"records": replications.records(person(request)).values()})


@require_GET
def method(request: HttpRequest, name: str) -> HttpResponse:
    """One method: what it does, what its paper claims, what was measured, its knobs."""
    card = _card(name)
    record = replications.record(card, settled(person(request)))
    found = record.evidence
    context = {
        "card": card,
        "tasks": [catalog.task(known).title for known in card.tasks],
        "owns": [words for aspect, words in catalog.ASPECTS.items() if aspect in card.owns and name != "dense"],
        "partners": partners([name]),
        "knobs": knob_rows(card.knobs, (card.presets or {}).values()),
        "studies": catalog.studies_of(name),
        "record": record,
        "measurements": [(each, setting(each.setting)) for each in record.measurements],
        "writable": writable(person(request)).order_by("name"),
        "queues": queues(),
        "arms": arm_rows(found) if found else [],
        "setting": setting(found.arm(found.judged).spec) if found else "",
        "failed": [bar for bar in found.bars if not bar.passed] if found else [],
    }
    return render(request, "experiments/method.html", context)


@require_POST
def replicate(request: HttpRequest, name: str) -> HttpResponse:
    """Launch the reproduction that the card asks for, in a project of the person's."""
    card = _card(name)
    if card.reproduction is None:
        raise Http404
    project = get_object_or_404(writable(person(request)), slug=request.POST.get("project", ""))
    queue = request.POST.get("queue", "")
    seeds = replication.fresh_seeds(card, person(request))
    try:
        queue = queue if queue in queues() else queues()[0]
        experiment = replication.launch(card, project=project, owner=person(request), queue=queue, seeds=seeds)
    except LaunchRefused as refusal:
        messages.error(request, f"Not launched. {refusal}.")
        return redirect("method", name)
    messages.success(request, f"Launched the reproduction of {card.title}.")
    return redirect("experiment", experiment.code)


def _card(name: str) -> Card:
    if name not in catalog.names():
        raise Http404
    return catalog.card(name)
