"""The page of a study: what it found, and its three questions with their inputs in the address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from training import catalog
from training.studies.dcpt import questions
from training.studies.dcpt.finding import DcptFinding
from webapp.experiments.models import Experiment, Finding
from webapp.results import notation, study_chart, tables, wording
from webapp.results.panels import Panel
from webapp.runs.models import TERMINAL, Run


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
    experiment = get_object_or_404(Experiment.objects.for_user(request.user).exclude(study=""), code=code)
    states = list(Run.objects.filter(arm__experiment=experiment).values_list("state", flat=True))
    row = Finding.objects.filter(experiment=experiment).first()
    if experiment.study != "dcpt":
        raise Http404
    found = DcptFinding.model_validate(row.body) if row else None
    context: dict[str, Any] = {
        "experiment": experiment,
        "card": catalog.study(experiment.study),
        "progress": wording.progress(states),
        "unfinished": any(state not in TERMINAL for state in states),
        "finding": found,
        "until": row and row.until,
        "rows": tables.SHOWN,
    }
    if found and found.general and found.domain:
        levels = study_chart.levels(found)
        at = _level(request.GET.get("at", ""), levels)
        form = Questions(_defaults(found, float(experiment.study_knobs.get("limit", 0.03))) | _given(request))
        answers = _answers(found, form) if form.is_valid() else []
        context |= {"form": form, "answers": answers, "panels": _panels(found, at), "at": round(at * 1e9)}
        context["levels"] = [round(level * 1e9) for level in levels]
    return render(request, "results/study.html", context)


@login_required
@require_safe
def points(request: HttpRequest, code: str) -> HttpResponse:
    """Every fitted evaluation as CSV."""
    rows = Finding.objects.filter(experiment__in=Experiment.objects.for_user(request.user).filter(study="dcpt"))
    found = DcptFinding.model_validate(get_object_or_404(rows, experiment__code=code).body)
    headers = {"Content-Disposition": f'attachment; filename="{code}-study.csv"'}
    return HttpResponse(study_chart.points_table(found).csv, content_type="text/csv; charset=utf-8", headers=headers)


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


def _level(text: str, levels: list[float]) -> float:
    """The measured tokens that the address names, else the last."""
    return min(levels, key=lambda level: abs(level * 1e9 - int(text))) if text.isdecimal() else levels[-1]


def _panels(found: DcptFinding, at: float) -> list[Panel]:
    return [
        study_chart.surface(found, "domain", at),
        study_chart.surface(found, "general", at),
        Panel("fits", "How good the laws are", study_chart.fits_table(found)),
        Panel("heldout", "Left out and predicted", study_chart.held_out_table(found)),
        *([Panel("checks", "Checked by a run", study_chart.checks_table(found))] if found.checks else []),
        Panel("costs", "What it cost", study_chart.costs_table(found)),
    ]


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
        f"about {notation.si(grid, 'FLOP')} (6 N D); the grid here took {notation.si(found.costs.mixtures, 'FLOP')}."
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
