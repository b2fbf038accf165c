"""The pages of studies: which there are, one with what it may be told, and the form that plans and launches it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training import catalog
from training.catalog import StudyCard
from webapp.experiments import studies as launching
from webapp.experiments.catalogue import knob_rows
from webapp.experiments.models import Experiment
from webapp.experiments.planning import Plan
from webapp.experiments.study_form import StudyForm, cloned
from webapp.experiments.templatetags.writing import duration
from webapp.experiments.views import forecast_of, posted, with_progress
from webapp.pages import page_of
from webapp.results import notation
from webapp.results.tables import Table
from webapp.teams.access import person, writable


@require_GET
def studies(request: HttpRequest) -> HttpResponse:
    """All studies."""
    cards = map(catalog.study, catalog.studies())
    return render(request, "experiments/studies.html", {"cards": cards, "writable": writable(person(request)).exists()})


@require_GET
def study(request: HttpRequest, name: str) -> HttpResponse:
    """One study: what it does, its knobs, and those that the person may see."""
    card = _card(name)
    launched = with_progress(Experiment.objects.for_user(person(request)).filter(study=name, archived_at=None))
    context = {
        "card": card,
        "knobs": knob_rows(card.knobs),
        "page": page_of(launched.order_by("-created_at", "-id"), request),
        "writable": writable(person(request)).exists(),
    }
    return render(request, "experiments/study.html", context)


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form, as it comes or as a clone; a valid post launches and leads to the study."""
    card, projects = _card(name), writable(person(request)).order_by("name")
    if not projects:
        return render(request, "experiments/no_project.html", status=403)
    if request.method == "GET":
        form = StudyForm(card, projects=projects, initial=_initial(request, card))
        filled = StudyForm(card, posted(request, form), projects=projects)
        return render(request, "experiments/study_new.html", {"form": form, "card": card, **_planned(filled)})
    form = StudyForm(card, request.POST, projects=projects)
    if not form.is_valid():
        context = {"form": form, "card": card, "refused": True, **_planned(form)}
        return render(request, "experiments/study_new.html", context, status=422)
    asked = {key: form.cleaned_data[key] for key in ("project", "title", "question", "seeds", "queue")}
    experiment = launching.launch(name, form.knobs, form.base, owner=person(request), **asked)
    messages.success(request, f"Launched {len(form.arms) * len(asked['seeds'])} runs.")
    return redirect("experiment-study", experiment.code)


@require_POST
def plan(request: HttpRequest, name: str) -> HttpResponse:
    """The runs that the form as typed would launch, what they cost, and what is wrong at each field."""
    form = StudyForm(_card(name), request.POST, projects=writable(person(request)).order_by("name"))
    return render(request, "experiments/_study_plan.html", {"form": form, "live": True, **_planned(form)})


def _initial(request: HttpRequest, card: StudyCard) -> dict[str, Any]:
    if code := request.GET.get("clone"):
        visible = Experiment.objects.for_user(person(request)).filter(study=card.name).select_related("project")
        return cloned(get_object_or_404(visible, code=code))
    slug = request.GET.get("project", "")
    return {"project": slug} if writable(person(request)).filter(slug=slug).exists() else {}


def _planned(form: StudyForm) -> dict[str, Any]:
    """The side panel's content, and the planned runs as a table."""
    found = forecast_of(form)
    return {"plan": found, "grid": _grid(form, found["forecast"])}


def _grid(form: StudyForm, planned: Plan | None) -> Table | None:
    """A row per run and seed: where it lies in the grid, and what it is forecast to cost."""
    if planned is None:
        return None
    axes = catalog.load_study(form.card.name).axes
    places = [axes(arm.spec) for arm in form.arms]
    rows = [
        (*place.values(), notation.si(arm.flops, "FLOP"), duration(arm.seconds))
        for place, arm in zip(places, planned.arms, strict=True)
    ]
    headings = (*places[0], "training FLOPs", "training time")
    return Table(f"{len(rows)} runs for each seed", headings, tuple(rows))


def _card(name: str) -> StudyCard:
    if name not in catalog.studies():
        raise Http404
    return catalog.study(name)
