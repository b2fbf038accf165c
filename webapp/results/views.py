"""The compare page: the answer in words, then charts, then tables; the address holds the whole state."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response, patch_cache_control, patch_vary_headers
from django.views.decorators.http import require_safe

from webapp.experiments.models import Experiment
from webapp.results import exports, inherited, pages, selectors, summary, tables, wording
from webapp.results.ask import Ask, Goal, Overheads, Scale, Sources, Tab
from webapp.results.comparison import Comparison
from webapp.results.exports import Format
from webapp.results.frontier import qualities
from webapp.results.panels import FIGURES, TABLES, quality, units
from webapp.runs.models import TERMINAL, Run

BOOT = secrets.token_hex(8)
"""Another process may run another version of the templates: what it drew is not taken for ours."""


COSTS = frozenset({Tab.CURVES, Tab.SAVINGS, Tab.FRONTIER, Tab.LEDGER})
"""Tabs where it matters whether inherited weights are charged."""


@login_required
@require_safe
def experiment(request: HttpRequest, code: str) -> HttpResponse:
    """The compare page; htmx gets the part below the heading."""
    found, ask = _experiment(request, code), Ask.read(request.GET)
    stamp = selectors.stamp(found)
    if not request.htmx or request.htmx.history_restore_request:  # type: ignore[attr-defined]
        return render(request, "results/experiment.html", _context(found, ask, stamp))
    return _conditional(request, stamp, lambda: render(request, "results/_results.html", _context(found, ask, stamp)))


def _context(found: Experiment, ask: Ask, stamp: str) -> dict[str, Any]:
    page = pages.page(found, ask, stamp)
    comparison, overview = page.comparison, summary.comparison_table(page.comparison, page.judged)
    answers, limits = wording.limited(wording.answers(page.judged))
    return {
        "experiment": found,
        "comparison": comparison,
        "answers": answers,
        "limits": limits,
        "progress": wording.progress([run.state for run in comparison.runs]),
        "unfinished": any(run.state not in TERMINAL for run in comparison.runs),
        "done": sum(run.state in TERMINAL for run in comparison.runs),
        "evaluated": sum(len(run.evaluations) for run in comparison.runs if run.state not in TERMINAL),
        "arms": list(zip(comparison.arms, overview, strict=True)),
        "arm_headings": list(overview[0]) if overview else [],
        "definitions": wording.DEFINITIONS,
        "counted": wording.COUNTED,
        "not_counted": wording.NOT_COUNTED,
        "ask": ask,
        "tabs": list(Tab),
        "units": [(unit, unit.of(comparison.counted)) for unit in units(ask.tab, comparison)],
        "qualities": qualities(comparison) if ask.tab is Tab.FRONTIER else (),
        "quality": quality(comparison, ask),
        "overheads": list(Overheads),
        "goals": list(Goal) if ask.tab is Tab.SAVINGS else (),
        "scales": list(Scale) if ask.tab is Tab.LEDGER else (),
        "sources": list(Sources) if page.inherits and ask.tab in COSTS else (),
        "inherits": page.inherits,
        "panels": page.panels,
        "rows": tables.SHOWN,
    }


def _conditional(request: HttpRequest, stamp: str, make: Callable[[], HttpResponse]) -> HttpResponse:
    """304 for whoever holds what these rows and this address give; made by `make` otherwise."""
    seen = (BOOT, stamp, request.get_full_path(), bool(request.htmx))  # type: ignore[attr-defined]
    tag = f'"{hashlib.sha256(repr(seen).encode()).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag=tag) or make()
    response.headers["ETag"] = tag
    patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, ("HX-Request", "Cookie"))
    return response


@login_required
@require_safe
def state(request: HttpRequest, code: str) -> HttpResponse:
    """How far the runs are, for polling; tells the page what has happened since it was drawn.

    `results-changed`: another run has ended. `curves-changed`: one under way was evaluated again.
    """
    found = _experiment(request, code)
    states = list(Run.objects.filter(arm__experiment=found).values_list("state", flat=True))
    done = sum(state in TERMINAL for state in states)
    context: dict[str, Any] = {
        "experiment": found,
        "unfinished": done < len(states),
        "done": done,
        "evaluated": selectors.evaluated(found),
        "progress": wording.progress(states),
    }
    response = render(request, "results/_state.html", context)
    if request.GET.get("done") != str(done):
        response["HX-Trigger"] = "results-changed"
    elif request.GET.get("evaluated") != str(context["evaluated"]):
        response["HX-Trigger"] = "curves-changed" if request.GET.get("evaluated", "0") != "0" else "results-changed"
    return response


@login_required
@require_safe
def export(request: HttpRequest, code: str, name: str, form: str) -> HttpResponse:
    """A table in full as CSV or Parquet, or a chart as Plotly JSON."""
    found, kind, ask = _experiment(request, code), Format(form), Ask.read(request.GET)
    if name not in (FIGURES if kind is Format.JSON else TABLES):
        raise Http404(f"no {kind} of {name}")
    stamp = selectors.stamp(found)
    return _conditional(request, stamp, lambda: _exported(selectors.comparison(found, stamp), name, kind, ask))


def _exported(whole: Comparison, name: str, kind: Format, ask: Ask) -> HttpResponse:
    comparison = inherited.asked(whole, ask.sources)
    if kind is Format.JSON:
        figure = FIGURES[name](comparison, ask)
        body = exports.plotly(inherited.on_chart(figure, name, whole, ask.sources))
    else:
        table = inherited.in_table(TABLES[name](comparison, ask), name, whole, ask.sources)
        body = exports.tabular(table, kind)
    return exports.attached(body, kind, f"{whole.code}-{name}")


def _experiment(request: HttpRequest, code: str) -> Experiment:
    """404 for people outside its project: nobody else learns that it exists."""
    return get_object_or_404(Experiment.objects.for_user(request.user).select_related("project"), code=code)
