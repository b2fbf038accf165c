"""The page of a study: how far it is, what it found, and its three questions with their inputs in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from training import catalog
from training.studies.dcpt import questions
from training.studies.dcpt.finding import DcptFinding
from webapp.experiments.models import Experiment, Finding
from webapp.results import exports, notation, study_chart, tables, wording
from webapp.results.exports import Format
from webapp.runs import studies
from webapp.runs.models import TERMINAL, Run, State
from webapp.teams.access import may, person, require
from webapp.teams.models import AuditEvent


class Questions(forms.Form):
    """Inputs of the three questions, as a person counts: parameters, tokens, percent."""

    size = forms.FloatField(min_value=1, label="Parameters N", help_text="without embeddings and head")
    tokens = forms.FloatField(min_value=1, label="Tokens D", help_text="of the mixture")
    limit = forms.FloatField(
        min_value=0.001, max_value=1000, label="Limit, %", help_text="that the general loss may rise"
    )
    before = forms.FloatField(
        min_value=0.001,
        required=False,
        label="General loss before",
        help_text="empty: that of the nearest measured base",
    )
    domain_tokens = forms.FloatField(min_value=1, label="Domain tokens", help_text="all that there are")
    general_tokens = forms.FloatField(min_value=0, label="General tokens", help_text="all that there are")
    flops = forms.FloatField(min_value=1, label="FLOPs", help_text="6 N D")
    ratio = forms.FloatField(min_value=0, max_value=1, label="Domain share", help_text="of the mixture")


@dataclass(frozen=True)
class Answer:
    """A question answered, or why it cannot be."""

    title: str
    text: str
    warning: str = ""


@login_required
@require_safe
def study(request: HttpRequest, code: str) -> HttpResponse:
    """What the study found so far; 404 for an experiment that is none."""
    experiment = _visible(request, code)
    context = _context(request, experiment) | {"card": catalog.study(experiment.study), "rows": tables.SHOWN}
    found: DcptFinding | None = context["finding"]
    if found and found.general and found.domain:
        levels, at = study_chart.levels(found), _level(request, found)
        form = Questions(_defaults(found, float(experiment.study_knobs.get("limit", 0.03))) | _given(request))
        answers = _answers(found, form) if form.is_valid() else []
        context |= {"form": form, "answers": answers, "panels": study_chart.panels(found, at), "at": round(at * 1e9)}
        context["levels"] = [round(level * 1e9) for level in levels]
    return render(request, "results/study.html", context)


@login_required
@require_safe
def state(request: HttpRequest, code: str) -> HttpResponse:
    """How far the study is, for polling; `study-concluded` tells a page that it was drawn from another finding."""
    context = _context(request, _visible(request, code))
    response = render(request, "results/_study_state.html", context)
    if request.GET.get("seen", "") != context["seen"]:
        response["HX-Trigger"] = "study-concluded"
    return response


@login_required
@require_POST
def cancel(request: HttpRequest, code: str) -> HttpResponse:
    """Cancel the runs that are open; the study concludes from those that ended."""
    experiment = _visible(request, code)
    require(person(request), experiment.project)
    if count := studies.cancel(experiment, person(request)):
        AuditEvent.objects.create(
            actor=person(request), project=experiment.project, verb="cancelled", object=f"study {experiment.code}"
        )
        messages.success(request, f"Cancelled {count} runs. The study concludes from those that ended.")
    else:
        messages.warning(request, "Nothing was left to cancel.")
    return redirect("experiment-study", code)


@login_required
@require_safe
def export(request: HttpRequest, code: str, name: str, form: str) -> HttpResponse:
    """A table in full as CSV or Parquet, or a chart as Plotly JSON."""
    row, kind = get_object_or_404(Finding, experiment=_visible(request, code)), Format(form)
    found = DcptFinding.model_validate(row.body)
    if not found.observations:
        raise Http404("nothing was observed")
    panel = next((one for one in study_chart.panels(found, _level(request, found)) if one.name == name), None)
    if panel is None or (kind is Format.JSON and panel.chart is None):
        raise Http404(f"no {kind} of {name}")
    body = exports.plotly(panel.chart) if kind is Format.JSON and panel.chart else exports.tabular(panel.table, kind)
    return exports.attached(body, kind, f"{code}-{name}")


def _visible(request: HttpRequest, code: str) -> Experiment:
    """404 for whoever is no member of its project, and for an experiment that is no such study."""
    mine = Experiment.objects.for_user(request.user).select_related("project")
    return get_object_or_404(mine.filter(study="dcpt"), code=code)


def _context(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    """How far it is. It is settled when nothing runs and the finding knows the last run that ended."""
    runs = list(Run.objects.filter(arm__experiment=experiment).values_list("state", "progress", "finished_at"))
    row = Finding.objects.filter(experiment=experiment).first()
    states = [state for state, _, _ in runs]
    open_ = [state for state in states if state not in TERMINAL]
    last = max((at for _, _, at in runs if at), default=None)
    return {
        "experiment": experiment,
        "progress": wording.progress(states),
        "done": sum(1.0 if state in TERMINAL else share for state, share, _ in runs) / max(len(runs), 1),
        "open": len(open_),
        "waiting": open_.count(State.QUEUED),
        "running": len(open_) - open_.count(State.QUEUED),
        "settled": not open_ and row is not None and (last is None or row.until >= last),
        "finding": DcptFinding.model_validate(row.body) if row else None,
        "until": row and row.until,
        "seen": row.until.isoformat() if row else "",
        "may_act": may(request.user, experiment.project),
    }


def _given(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in Questions.base_fields if request.GET.get(name)}


def _defaults(found: DcptFinding, limit: float) -> dict[str, str]:
    """The largest network at the end of its runs."""
    size, tokens = found.bases[-1].size, study_chart.levels(found)[-1]
    values = {
        "size": size * 1e9, "tokens": tokens * 1e9, "limit": 100 * limit, "domain_tokens": tokens * 0.5e9,
        "general_tokens": tokens * 1e9, "flops": 6 * size * tokens * 1e18, "ratio": 0.5,
    }  # fmt: skip
    return {name: f"{value:.6g}" for name, value in values.items()}


def _level(request: HttpRequest, found: DcptFinding) -> float:
    """The measured tokens that the address names, else the last."""
    text, levels = request.GET.get("at", ""), study_chart.levels(found)
    if not text.isdecimal() or len(text) > 18:
        return levels[-1]
    return min(levels, key=lambda level: abs(level * 1e9 - int(text)))


def _answers(found: DcptFinding, form: Questions) -> list[Answer]:
    asked: dict[str, float] = form.cleaned_data
    size, tokens = asked["size"] / 1e9, asked["tokens"] / 1e9
    return [
        _trade_off(found, size, tokens, asked),
        _scarce(found, size, asked),
        _compute(found, asked),
    ]


def _trade_off(found: DcptFinding, size: float, tokens: float, asked: dict[str, float]) -> Answer:
    title = "Which share, if the general loss may rise by so much?"
    try:
        best = found.trade_off(size=size, tokens=tokens, limit=asked["limit"] / 100, before=asked["before"])
    except questions.Infeasible as none:
        return Answer(title, f"None: {none}.", _beyond(found, size, tokens))
    grid = len({one.domain_share for one in found.observations}) * 6 * size * tokens * 1e18
    base = found.base(size)
    guessed = asked["before"] is None and abs(base.size / size - 1) > 0.01
    warning = f"The general loss before is that of {base.preset}, another size: give your own. " if guessed else ""
    text = (
        f"{best.ratio:.3f} of the domain: domain loss {best.domain:.3f}, general loss {best.general:.3f}, "
        f"which is {notation.percent(best.rise)} above what it was. Trying as many shares at this size would take "
        f"about {notation.si(grid, 'FLOP')} (6 N D); the grid here took {notation.si(found.costs.grid, 'FLOP')}."
    )
    return Answer(title, text, warning + _beyond(found, size, tokens))


def _scarce(found: DcptFinding, size: float, asked: dict[str, float]) -> Answer:
    assert found.domain
    best = questions.scarce(
        found.domain.law,
        size=size,
        domain_tokens=asked["domain_tokens"] / 1e9,
        general_tokens=asked["general_tokens"] / 1e9,
    )
    text = (
        f"{best.ratio:.3f} of the domain, {best.tokens * 1e9:,.0f} tokens in all, {best.general_tokens * 1e9:,.0f} of "
        f"them general: domain loss {best.domain:.3f}, every domain token read once."
    )
    return Answer("How far to stretch scarce domain text?", text, _beyond(found, size, best.tokens))


def _compute(found: DcptFinding, asked: dict[str, float]) -> Answer:
    assert found.domain
    title = "Which network for a budget of FLOPs?"
    try:
        best = questions.compute(found.domain.law, flops=asked["flops"], ratio=asked["ratio"])
    except questions.Infeasible as none:
        return Answer(title, f"None: {none}.")
    text = f"{best.size * 1e9:,.0f} parameters and {best.tokens * 1e9:,.0f} tokens: domain loss {best.loss:.3f}."
    return Answer(title, text, _beyond(found, best.size, best.tokens))


def _beyond(found: DcptFinding, size: float, tokens: float) -> str:
    return "" if found.reaches(size, tokens) else "Extrapolated: beyond the sizes or tokens that were measured."
