"""Pages of experiments: the list, the new-experiment form with its live plan, archive."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import trigger_client_event

from training import catalog
from webapp.experiments import services
from webapp.experiments.arms import add_combinations, combine, fill_in, for_task, new_arm, without_arm
from webapp.experiments.forms import ExperimentForm
from webapp.experiments.models import Experiment, ExperimentQuerySet
from webapp.experiments.payload import cloned
from webapp.experiments.planning import plan as forecast
from webapp.experiments.study_form import StudyForm
from webapp.experiments.written import WrittenForm, in_words
from webapp.pages import page_of
from webapp.runs.models import ACTIVE, State
from webapp.teams.access import person, require, writable
from webapp.teams.models import AuditEvent, Project

RUNS = "arms__runs"
LAUNCHED = ("project", "title", "question", "seeds", "queue", "stop_dominated")
"""What both views of the form hand to the launch beside the arms."""


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


def _form(request: HttpRequest, data: QueryDict | None = None, **kwargs: Any) -> ExperimentForm | WrittenForm:
    """The form in the view that was posted: field by field, or as JSON."""
    kind = WrittenForm if data is not None and "written" in data else ExperimentForm
    return kind(data, projects=writable(person(request)).order_by("name"), **kwargs)


def _page(request: HttpRequest, form: ExperimentForm | WrittenForm, **more: Any) -> HttpResponse:
    """The whole page; without a plan it asks for one itself."""
    task = form.task.name if isinstance(form, ExperimentForm) else ""
    cards = [card for card in catalog.cards().values() if task in card.tasks]
    context = {"form": form, "written": isinstance(form, WrittenForm), "cards": cards}
    return render(request, "experiments/new.html", context | more)


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form, empty or as a clone; a valid post launches and leads to the experiment."""
    if not writable(person(request)).exists():
        return render(request, "experiments/no_project.html", status=403)
    if request.method == "GET":
        mine = Experiment.objects.for_user(person(request)).exclude(study="")
        if origin := mine.filter(code=request.GET.get("clone", "")).first():
            return redirect(f"{reverse('study-new', args=[origin.study])}?clone={origin.code}")
        form = _form(request, initial=_initial(request))
        return _page(request, form, plan=forecast_of(_filled(request, form)))
    form = _form(request, request.POST)
    if not form.is_valid():
        answer = _page(request, form, refused=True)
        answer.status_code = 422
        return answer
    asked = {name: form.cleaned_data[name] for name in LAUNCHED}
    experiment = services.launch(owner=person(request), arms=form.arms, **asked)
    messages.success(request, f"Launched {len(form.arms) * len(form.cleaned_data['seeds'])} runs.")
    return redirect("experiment", experiment.code)


def _initial(request: HttpRequest) -> dict[str, Any]:
    if code := request.GET.get("clone"):
        visible = Experiment.objects.for_user(person(request)).select_related("project")
        return cloned(get_object_or_404(visible, code=code))
    slug = request.GET.get("project", "")
    initial: dict[str, Any] = {"project": slug} if writable(person(request)).filter(slug=slug).exists() else {}
    if (task := request.GET.get("task")) in catalog.tasks():
        initial["task"] = task
    if (method := request.GET.get("method")) in catalog.names():
        known = [name for name in catalog.card(method).tasks if name in catalog.tasks()]
        initial |= {"arms.0.methods": [method]} | ({} if initial.get("task") in known else {"task": known[0]})
    return initial


def _filled(request: HttpRequest, form: forms.Form) -> ExperimentForm | WrittenForm:
    return _form(request, posted(request, form))


def posted(request: HttpRequest, form: forms.Form) -> QueryDict:
    """The form as if it had been posted unchanged, so that the first page already has its plan."""
    data = QueryDict(mutable=True)
    for bound in form:
        value = bound.value()
        if value is not None and value is not False:
            data.setlist(bound.html_name, list(value) if isinstance(value, list | tuple) else [str(value)])
    if "written" not in data:
        data["title"] = data.get("title") or "untitled"
        first = writable(person(request)).order_by("name").values_list("slug")[0][0]
        data["project"] = data.get("project") or str(first)
        data["queue"] = data.get("queue") or form.fields["queue"].choices[0][0]  # type: ignore[attr-defined]
    return data


def forecast_of(form: ExperimentForm | WrittenForm | StudyForm) -> dict[str, Any]:
    """The side panel's content: a plan where the form allows one, and what is in the way of a launch."""
    ready = form.is_valid()
    named = [
        ("" if bound.is_hidden else bound.id_for_label or bound.auto_id, bound.label, error)
        for bound in form
        for error in bound.errors
        if (bound.name, form.data.get("title", "")) != ("title", "")
    ]
    named += [("", "", error) for error in form.non_field_errors()]
    seeds, queue = form.cleaned_data.get("seeds"), form.cleaned_data.get("queue")
    planned, warnings = None, []
    if form.arms and seeds and queue and len(seeds) <= services.SEEDS:
        arms = sorted(form.arms, key=lambda arm: not arm.is_baseline)
        specs = [(arm.label, arm.spec) for arm in arms]
        project = form.cleaned_data.get("project")
        planned = forecast(arms=specs, seeds=seeds, queue=queue, project=project)
    if planned is not None and not planned.workers:
        warnings = [f"No worker that is alive serves the queue {queue}: the runs will wait until one does."]
    added = {arm.label for arm in form.arms if arm.added}
    return {"forecast": planned, "problems": named, "ready": ready, "added": added, "warnings": warnings}


@require_POST
def plan(request: HttpRequest) -> HttpResponse:
    """What the form as typed would cost, and at each field what is wrong with it; launches nothing."""
    form = _form(request, request.POST)
    return render(request, "experiments/_planned.html", {"form": form, "plan": forecast_of(form), "live": True})


@require_POST
def arms(request: HttpRequest) -> HttpResponse:
    """Change the arms, or the task of all; the rest stays as it was typed. Launches nothing.

    An arm is added, removed, filled in from a preset, or given another method; or each pair of methods gets an arm.
    With htmx only the arm that changes is sent; without, and where more than one changes, the page.
    """
    verb, _, place = request.POST.get("do", "").partition(".")
    data = request.POST.copy()
    numbers = ExperimentForm(data, projects=Project.objects.none()).numbers
    number = int(place) if place.isdecimal() and len(place) < 10 else -1
    if verb == "add" and data.get("add.method") in catalog.names():
        number = max(numbers, default=-1) + 1
        labels = [str(data.get(f"arms.{known}.label", "")) for known in numbers]
        data.update(new_arm(number, str(data["add.method"]), labels))
    elif verb == "remove" and number in numbers:
        data = without_arm(data, number)
    elif verb == "preset" and number in numbers:
        fill_in(data, number)
    elif verb == "combine" and number in numbers and data.get(f"arms.{number}.with") in catalog.names():
        combine(data, number)
    elif verb == "factorial":
        add_combinations(data, numbers)
    elif verb == "task":
        data = for_task(data, numbers)
    else:
        raise Http404
    form = ExperimentForm(data, projects=writable(person(request)).order_by("name"))
    if not request.htmx or verb in ("factorial", "task"):  # type: ignore[attr-defined]
        return _page(request, form)
    changed = {"block": form.block(number)} if number in form.numbers else None
    answer = render(request, "experiments/_arm.html", changed) if changed else HttpResponse()
    return trigger_client_event(answer, "arms", after="swap")


@require_POST
def view(request: HttpRequest) -> HttpResponse:
    """The other view of what was typed: the fields as JSON, or the JSON as fields where it is a launch."""
    form = _form(request, request.POST)
    projects = writable(person(request)).order_by("name")
    if isinstance(form, ExperimentForm):
        other = WrittenForm(initial={"written": in_words(form.written())}, projects=projects)
        return _page(request, other, plan=forecast_of(_filled(request, other)))
    values = form.values()
    if values is None:
        return _page(request, form)
    fields = ExperimentForm(initial=values, projects=projects)
    return _page(request, fields, plan=forecast_of(_filled(request, fields)))


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
