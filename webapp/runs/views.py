"""Pages of runs: the queue with its workers, and one run."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from webapp.results.ask import Scale
from webapp.runs import bill, downloads, lifecycle, selectors, waiting
from webapp.runs.models import ACTIVE, Run, State, Worker
from webapp.teams.access import may, person, require
from webapp.teams.models import AuditEvent

EVENTS = 50
"""Events that a run's page shows, newest first."""
VERBS = {
    "pause": (lifecycle.pause, "paused"),
    "resume": (lifecycle.resume, "resumed"),
    "cancel": (lifecycle.cancel, "cancelled"),
    "retry": (lifecycle.reopen, "retried"),
}


def _operates(user: Any) -> bool:
    """Workers are everybody's, and anybody may be the admin of a project of their own: staff alone take them out."""
    return bool(user.is_staff or user.is_superuser)


@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Workers and what they run; waiting runs in claim order, each with its reason."""
    mine = Run.objects.for_user(person(request))
    context = {
        "slots": waiting.slots(),
        "mine": set(mine.filter(state__in=ACTIVE).values_list("pk", flat=True)),
        "line": waiting.line(mine),
        "admin": _operates(person(request)),
    }
    return render(request, "runs/_queue.html" if "HX-Request" in request.headers else "runs/queue.html", context)


@require_POST
def drain(request: HttpRequest, worker_id: int) -> HttpResponse:
    """Let a worker finish and take no more, or let it take work again."""
    if not _operates(person(request)):
        raise PermissionDenied("Workers serve all projects: draining one needs a staff account.")
    worker = get_object_or_404(Worker, pk=worker_id)
    draining = request.POST.get("draining") == "1"
    Worker.objects.filter(pk=worker.pk).update(draining=draining)
    verb = "drained" if draining else "undrained"
    AuditEvent.objects.create(actor=person(request), verb=verb, object=f"worker {worker.name}"[:200])
    messages.success(request, f"{worker.name} is {'draining' if draining else 'taking work again'}.")
    return redirect("queue")


def visible(request: HttpRequest, code: str) -> Run:
    """The run, or 404 for one who is not a member of its project."""
    runs = Run.objects.for_user(person(request)).select_related("arm__experiment__project")
    return get_object_or_404(runs, code=code)


@require_GET
def run(request: HttpRequest, code: str) -> HttpResponse:
    """One run: where it is, what it did, what it cost; htmx asks again for all but the curves and the log."""
    found = visible(request, code)
    costs, attempts = list(found.costs.order_by("phase", "purpose")), list(found.attempts.order_by("-n"))
    weights = found.artifacts.filter(kind="weights").order_by("-fence").first()
    context = {
        "run": found,
        "may_act": may(person(request), found.arm.experiment.project),
        "actions": actions(found),
        "seconds_left": seconds_left(found),
        "reason": selectors.why_waiting([found]).get(found.pk, ""),
        "costs": bill.entries(costs),
        "redone": bill.redone(costs),
        "check": bill.check(found, costs),
        "unit": found.arm.spec.unit,
        "formula": found.arm.spec.flops_per_trained_token(),
        "uncounted": bill.uncounted(attempts),
        "scale": Scale.PERCENT if request.GET.get("scale") == Scale.PERCENT else Scale.ABSOLUTE,
        "scales": (Scale.ABSOLUTE, Scale.PERCENT),
        "scores": found.scores.order_by("task", "metric"),
        "attempts": attempts,
        "events": found.events.order_by("-pk")[:EVENTS],
        "checkpoints": found.artifacts.filter(kind="checkpoint").order_by("-event"),
        "weights": weights,
        "files": downloads.files(weights) if weights else [],
        "environment": {name: value for name, value in found.environment.items() if name not in ("spec", "seed")},
    }
    if "HX-Request" in request.headers:
        return render(request, "runs/_facts.html", context)
    context["spec"] = json.dumps(found.arm.body, indent=2)
    return render(request, "runs/run.html", context)


@require_GET
def points_table(request: HttpRequest, code: str) -> HttpResponse:
    """The newest points as a table: the curves for those who do not see them."""
    found = visible(request, code)
    table = downloads.curves(found, newest=downloads.ROWS_SHOWN)
    return render(request, "runs/_points.html", {"table": table, "run": found})


def actions(run: Run) -> list[str]:
    """The verbs that make sense now."""
    if run.state in lifecycle.REOPENABLE:
        return ["retry"]
    if run.is_terminal or run.cancel_requested_at:
        return []
    return ["resume" if run.pause_requested_at else "pause", "cancel"]


def seconds_left(run: Run) -> float | None:
    """By its pace so far; None where there is none yet."""
    if run.state != State.RUNNING or run.progress < 0.01 or run.wall_seconds <= 0:
        return None
    return run.wall_seconds * (1 - run.progress) / run.progress


@require_POST
def act(request: HttpRequest, code: str, verb: str) -> HttpResponse:
    """Pause, resume, cancel or retry a run."""
    found = visible(request, code)
    if verb not in VERBS:
        raise Http404
    require(person(request), found.arm.experiment.project)
    do, done = VERBS[verb]
    if do(found, person(request)):
        AuditEvent.objects.create(
            actor=person(request), project=found.arm.experiment.project, verb=done, object=f"run {found.code}"
        )
    else:
        messages.warning(request, f"The run could not be {done}: it has moved on in the meantime.")
    return redirect("run", code)
