"""The compare page: the answer in words, then charts, then tables; the address holds the whole state."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from webapp.experiments.models import Experiment
from webapp.results import exports, selectors, summary, tables, wording
from webapp.results.ask import Ask, Overheads, Tab
from webapp.results.comparison import Unit
from webapp.results.exports import Format
from webapp.results.frontier import qualities
from webapp.results.panels import FIGURES, TABLES, panels, quality, units
from webapp.results.savings import findings
from webapp.runs.models import TERMINAL, Run


@login_required
@require_safe
def experiment(request: HttpRequest, code: str) -> HttpResponse:
    """The compare page; htmx gets the part below the heading."""
    found = _experiment(request, code)
    ask = Ask.read(request.GET)
    comparison = selectors.comparison(found)
    judged = findings(comparison)
    overview = summary.comparison_table(comparison, judged)
    context = {
        "experiment": found,
        "comparison": comparison,
        "answers": wording.answers(judged),
        "progress": wording.progress([run.state for run in comparison.runs]),
        "unfinished": any(run.state not in TERMINAL for run in comparison.runs),
        "done": sum(run.state in TERMINAL for run in comparison.runs),
        "arms": list(zip(comparison.arms, overview, strict=True)),
        "arm_headings": list(overview[0]) if overview else [],
        "definitions": wording.DEFINITIONS,
        "counted": wording.COUNTED,
        "not_counted": wording.NOT_COUNTED,
        "ask": ask,
        "tabs": list(Tab),
        "units": units(ask.tab, comparison),
        "qualities": qualities(comparison) if ask.tab is Tab.FRONTIER else (),
        "quality": quality(comparison, ask),
        "overheads": list(Overheads),
        "panels": panels(comparison, ask, judged if ask.unit is Unit.EXECUTED else findings(comparison, ask.unit)),
        "rows": tables.SHOWN,
    }
    part = request.htmx and not request.htmx.history_restore_request  # type: ignore[attr-defined]
    return render(request, "results/_results.html" if part else "results/experiment.html", context)


@login_required
@require_safe
def state(request: HttpRequest, code: str) -> HttpResponse:
    """How far the runs are, for polling; tells the page when another run has ended since it was drawn."""
    found = _experiment(request, code)
    states = list(Run.objects.filter(arm__experiment=found).values_list("state", flat=True))
    done = sum(state in TERMINAL for state in states)
    context: dict[str, Any] = {
        "experiment": found,
        "unfinished": done < len(states),
        "done": done,
        "progress": wording.progress(states),
    }
    response = render(request, "results/_state.html", context)
    if request.GET.get("done") != str(done):
        response["HX-Trigger"] = "results-changed"
    return response


@login_required
@require_safe
def export(request: HttpRequest, code: str, name: str, form: str) -> HttpResponse:
    """A table in full as CSV or Parquet, or a chart as Plotly JSON."""
    found, kind, ask = _experiment(request, code), Format(form), Ask.read(request.GET)
    if name not in (FIGURES if kind is Format.JSON else TABLES):
        raise Http404(f"no {kind} of {name}")
    comparison = selectors.comparison(found)
    match kind:
        case Format.CSV:
            body = TABLES[name](comparison, ask).csv.encode()
        case Format.PARQUET:
            body = exports.parquet(TABLES[name](comparison, ask))
        case Format.JSON:
            body = exports.plotly(FIGURES[name](comparison, ask))
    headers = {"Content-Disposition": f'attachment; filename="{found.code}-{name}.{kind}"'}
    return HttpResponse(body, content_type=kind.media_type, headers=headers)


def _experiment(request: HttpRequest, code: str) -> Experiment:
    """404 for people outside its project: nobody else learns that it exists."""
    return get_object_or_404(Experiment.objects.for_user(request.user).select_related("project"), code=code)
