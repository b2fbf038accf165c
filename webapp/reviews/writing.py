"""Pages of those who write a report: its form, and sending it to review."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from webapp.experiments.models import Experiment
from webapp.results import selectors
from webapp.reviews import services
from webapp.reviews.composing import draft
from webapp.reviews.embeds import Gallery
from webapp.reviews.forms import ReportForm
from webapp.reviews.models import Report
from webapp.reviews.services import Late
from webapp.reviews.syntax import BadReport
from webapp.reviews.views import report_of
from webapp.teams.access import person, require


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, code: str) -> HttpResponse:
    """The form with the computed answer in it; a valid post makes the draft."""
    visible = Experiment.objects.for_user(person(request)).select_related("project")
    experiment = get_object_or_404(visible, code=code)
    require(person(request), experiment.project)
    if request.method == "GET":
        start = {"title": f"Report: {experiment.title}"[:200], "body": draft(experiment)}
        return _form(request, experiment, ReportForm(initial=start))
    form = ReportForm(request.POST)
    if form.is_valid():
        words = {name: form.cleaned_data[name] for name in ("title", "body")}
        try:
            return redirect("report", services.create(experiment, person(request), **words).code)
        except BadReport as refusal:
            form.add_error("body", refusal.problems)
    return _form(request, experiment, form, status=422)


@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, code: str) -> HttpResponse:
    """The form of a draft or a returned report."""
    report = report_of(request, code)
    require(person(request), report.experiment.project)
    if not report.is_editable:
        messages.error(request, f"This report is {report.state}; it can be edited once it is returned.")
        return redirect("report", code)
    if request.method == "GET":
        start = {name: getattr(report, name) for name in ("title", "body", "revision")}
        return _form(request, report.experiment, ReportForm(initial=start), report)
    form = ReportForm(request.POST)
    if form.is_valid():
        words = form.cleaned_data | {"revision": form.cleaned_data["revision"] or 0}
        try:
            services.save(report, person(request), **words)
            return redirect("report", code)
        except BadReport as refusal:
            form.add_error("body", refusal.problems)
        except Late:
            form.add_error(None, "Somebody saved this report after you opened it: copy your text, then open it again.")
    return _form(request, report.experiment, form, report, status=422)


@require_POST
def submit(request: HttpRequest, code: str) -> HttpResponse:
    """Freeze the draft that was read and send it to review."""
    report = report_of(request, code)
    require(person(request), report.experiment.project)
    revision = request.POST.get("revision", "")
    number = int(revision) if revision.isdecimal() and len(revision) < 10 else 0
    try:
        services.submit(report, person(request), revision=number)
    except Late as refusal:
        messages.error(request, f"Not submitted: {refusal}.")
    except BadReport as refusal:
        messages.error(request, f"Not submitted: {refusal}.")
    else:
        messages.success(request, "Submitted for review. What you see is frozen now.")
    return redirect("report", code)


def _form(
    request: HttpRequest, experiment: Experiment, form: ReportForm, report: Report | None = None, status: int = 200
) -> HttpResponse:
    offer = Gallery(selectors.comparison(experiment)).offer()
    context = {
        "experiment": experiment,
        "form": form,
        "report": report,
        "offer": list(offer.values()),
    }
    return render(request, "reviews/edit.html", context, status=status)
