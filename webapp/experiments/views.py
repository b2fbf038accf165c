"""Pages of experiments: the list, the new-experiment form with its live plan, archive."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training import catalog
from webapp.experiments import services
from webapp.experiments.fields import flat
from webapp.experiments.forms import ExperimentForm, cloned
from webapp.experiments.models import Experiment, ExperimentQuerySet
from webapp.experiments.planning import plan as forecast
from webapp.pages import page_of
from webapp.runs.models import ACTIVE, State
from webapp.teams.access import person, require, writable
from webapp.teams.models import AuditEvent, Project

RUNS = "arms__runs"
BUDGET_KINDS = {"steps": "steps", "tokens": "tokens", "flops": "FLOPs"}


def with_progress(experiments: ExperimentQuerySet) -> ExperimentQuerySet:
    """Each with `total`, `done`, `active` and `lost` runs, for lists."""
    return experiments.select_related("project", "owner").annotate(
        total=Count(RUNS),
        done=Count(RUNS, filter=Q(arms__runs__state=State.SUCCEEDED)),
        active=Count(RUNS, filter=Q(arms__runs__state__in=ACTIVE)),
        lost=Count(RUNS, filter=Q(arms__runs__state__in=(State.FAILED, State.QUARANTINED))),
    )


@require_GET
def experiments(request: HttpRequest) -> HttpResponse:
    """The list; project, archive and page are in the address."""
    archived = request.GET.get("archived") == "1"
    slug = request.GET.get("project", "")
    found = with_progress(Experiment.objects.for_user(person(request))).filter(archived_at__isnull=not archived)
    if slug:
        found = found.filter(project=get_object_or_404(Project.objects.for_user(person(request)), slug=slug))
    context = {
        "page": page_of(found.order_by("-created_at", "-id"), request),
        "archived": archived,
        "slug": slug,
        "projects": Project.objects.for_user(person(request)).order_by("name"),
        "writable": writable(person(request)).exists(),
    }
    return render(request, "experiments/list.html", context)


def _form(request: HttpRequest, data: QueryDict | None = None, **kwargs: Any) -> ExperimentForm:
    return ExperimentForm(data, projects=writable(person(request)).order_by("name"), **kwargs)


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form, empty or as a clone; a valid post launches and leads to the experiment."""
    if not writable(person(request)).exists():
        return render(request, "experiments/no_project.html", status=403)
    if request.method == "GET":
        form = _form(request, initial=_initial(request))
        return render(request, "experiments/new.html", {"form": form, "plan": forecast_of(_filled(request, form))})
    form = _form(request, request.POST)
    if not form.is_valid():
        return render(request, "experiments/new.html", {"form": form, "plan": None}, status=422)
    experiment = services.launch(
        owner=person(request),
        arms=form.arms,
        **{name: form.cleaned_data[name] for name in ("project", "title", "question", "seeds", "queue")},
    )
    messages.success(request, f"Launched {form.arms and len(form.arms) * len(form.cleaned_data['seeds'])} runs.")
    return redirect("experiment", experiment.code)


def _initial(request: HttpRequest) -> dict[str, Any]:
    if code := request.GET.get("clone"):
        visible = Experiment.objects.for_user(person(request)).select_related("project")
        return cloned(get_object_or_404(visible, code=code))
    slug = request.GET.get("project", "")
    initial: dict[str, Any] = {"project": slug} if writable(person(request)).filter(slug=slug).exists() else {}
    if (method := request.GET.get("method")) in catalog.names():
        initial["methods"] = list(dict.fromkeys(["dense", method]))
    return initial


def _filled(request: HttpRequest, form: ExperimentForm) -> ExperimentForm:
    """The form as if it had been posted unchanged, so that the first page already has its plan."""
    data = QueryDict(mutable=True)
    for bound in form:
        value = bound.value()
        if value is not None and value is not False:
            data.setlist(bound.html_name, list(value) if isinstance(value, list | tuple) else [str(value)])
    data["title"] = data.get("title") or "untitled"
    data["project"] = data.get("project") or str(writable(person(request)).order_by("name").values_list("slug")[0][0])
    data["queue"] = data.get("queue") or form.fields["queue"].choices[0][0]  # type: ignore[attr-defined]
    return _form(request, data)


def forecast_of(form: ExperimentForm) -> dict[str, Any]:
    """The side panel's content: a plan where the form allows one, and what is in the way of a launch."""
    ready = form.is_valid()
    named = [
        (bound.id_for_label, bound.label, error)
        for bound in form
        for error in bound.errors
        if (bound.name, form.data.get("title", "")) != ("title", "")
    ]
    named += [
        (f"method-{name}", catalog.card(name).title, e) for name, found in form.method_errors.items() for e in found
    ]
    named += [("", "", error) for error in form.non_field_errors()]
    seeds, queue = form.cleaned_data.get("seeds"), form.cleaned_data.get("queue")
    planned = None
    if form.arms and seeds and queue and len(seeds) <= services.SEEDS:
        planned = forecast(arms=[(arm.label, arm.spec) for arm in form.arms], seeds=seeds, queue=queue)
    return {"forecast": planned, "problems": named, "ready": ready}


@require_POST
def plan(request: HttpRequest) -> HttpResponse:
    """What the form as typed would cost; launches nothing."""
    return render(request, "experiments/_plan.html", {"plan": forecast_of(_form(request, request.POST))})


@require_POST
def preset(request: HttpRequest, method: str) -> HttpResponse:
    """A method's knobs, filled with one of its presets."""
    if method not in catalog.names():
        raise Http404
    card = catalog.card(method)
    data = request.POST.copy()
    chosen = (card.presets or {}).get(data.get(f"preset.{method}", ""), card.knobs())
    for path, value in flat(chosen.model_dump(mode="json"), f"knobs.{method}.").items():
        if value is False:
            data.pop(path, None)
        else:
            data[path] = str(value)
    block = _form(request, data).block(card, picked=True)
    return render(request, "experiments/_knobs.html", {"block": block})


@require_POST
def archive(request: HttpRequest, code: str) -> HttpResponse:
    """Put an experiment away, or bring it back; its runs and results stay."""
    experiment = get_object_or_404(Experiment.objects.for_user(person(request)), code=code)
    require(person(request), experiment.project)
    away = request.POST.get("archived") == "1"
    Experiment.objects.filter(pk=experiment.pk).update(archived_at=Now() if away else None)
    verb = "archived" if away else "unarchived"
    AuditEvent.objects.create(
        actor=person(request), project=experiment.project, verb=verb, object=f"experiment {experiment.code}"
    )
    messages.success(request, f"{experiment.title} is {verb}.")
    return redirect("experiments")
