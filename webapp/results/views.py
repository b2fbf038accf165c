"""The compare page: the answer in words, then charts, then tables; the address holds the whole state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from webapp.experiments.models import Experiment
from webapp.results import closed_forms, figures, selectors, summary, tables, wording
from webapp.results.comparison import Comparison, Unit
from webapp.results.figures import Figure
from webapp.results.savings import Finding, findings
from webapp.results.tables import Table
from webapp.runs.models import TERMINAL, Run

Member = TypeVar("Member", bound=StrEnum)


class Tab(StrEnum):
    CURVES = "curves"
    SAVINGS = "savings"
    LEDGER = "ledger"
    EVALUATION = "evaluation"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its table twin; the twin's CSV is found by `name`."""

    name: str
    title: str
    table: Table
    chart: Figure | None = None
    note: str = ""

    @property
    def figure_id(self) -> str:
        return f"figure-{self.name}"


TABLES: dict[str, Callable[[Comparison, Unit], Table]] = {
    "arms": lambda comparison, unit: summary.arms(comparison),
    "curves": lambda comparison, unit: tables.curves(comparison),
    "savings": lambda comparison, unit: tables.savings(findings(comparison, unit)),
    "budgets": lambda comparison, unit: tables.budgets(findings(comparison, unit)),
    "ledger": lambda comparison, unit: tables.ledger(comparison),
    "formulas": lambda comparison, unit: closed_forms.table(comparison),
    "evaluation": lambda comparison, unit: tables.scores(comparison),
    "matrix": lambda comparison, unit: tables.matrix(comparison),
    "differences": lambda comparison, unit: tables.configuration(comparison),
    "configuration": lambda comparison, unit: tables.configuration(comparison, whole=True),
}


@login_required
@require_safe
def experiment(request: HttpRequest, code: str) -> HttpResponse:
    """The compare page; htmx gets the part below the heading."""
    found = _experiment(request, code)
    tab, unit = _choice(Tab, request.GET.get("tab")), _choice(Unit, request.GET.get("unit"))
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
        "tab": tab,
        "tabs": list(Tab),
        "unit": unit,
        "units": _units(tab),
        "panels": _panels(comparison, tab, unit, judged if unit is Unit.EXECUTED else findings(comparison, unit)),
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
def table(request: HttpRequest, code: str, name: str) -> HttpResponse:
    """A table as CSV, in full."""
    found = _experiment(request, code)
    if name not in TABLES:
        raise Http404(f"no table {name}")
    body = TABLES[name](selectors.comparison(found), _choice(Unit, request.GET.get("unit"))).csv
    headers = {"Content-Disposition": f'attachment; filename="{found.code}-{name}.csv"'}
    return HttpResponse(body, content_type="text/csv; charset=utf-8", headers=headers)


def _experiment(request: HttpRequest, code: str) -> Experiment:
    """404 for people outside its project: nobody else learns that it exists."""
    return get_object_or_404(Experiment.objects.for_user(request.user).select_related("project"), code=code)


def _choice(kind: type[Member], value: str | None) -> Member:
    """The named member; without a name, or with an unknown one, the first."""
    return next((member for member in kind if member.value == value), next(iter(kind)))


def _units(tab: Tab) -> list[Unit]:
    """Units the tab can be drawn in; a bill shows both kinds of FLOPs at once and has no steps."""
    return [Unit.EXECUTED, Unit.TOKENS, Unit.SECONDS] if tab is Tab.LEDGER else list(Unit)


def _panels(comparison: Comparison, tab: Tab, unit: Unit, found: tuple[Finding, ...]) -> list[Panel]:
    """What a tab shows."""
    match tab:
        case Tab.CURVES:
            chart = figures.loss_vs_cost(comparison, unit)
            note = "Thin: seeds, running ones too. Strong: mean of the finished, from 3 on with its 95% band (t)."
            return [Panel("curves", "Validation loss against cost", tables.curves(comparison), chart, note)]
        case Tab.SAVINGS:
            ratio = figures.saving_at_equal_loss(comparison, found, unit)
            note = "Below 1 saves. Drawn where every seed got there; ribbon: 95% interval; dashed: the papers' claims."
            return [
                Panel(
                    "savings",
                    "Cost to reach a loss, relative to the baseline",
                    tables.savings_in_words(found),
                    ratio,
                    note,
                ),
                Panel("budgets", "At equal budget", tables.budgets_in_words(found)),
            ]
        case Tab.LEDGER:
            note = "Training first, then what is not counted. Hatched: everything that is not a plain training step."
            bars = figures.ledger_bars(comparison, unit)
            return [
                Panel("ledger", "Costs by phase and purpose", tables.ledger(comparison), bars, note),
                Panel(
                    "formulas", "Counted against the formula", closed_forms.table(comparison), note=closed_forms.NOTE
                ),
            ]
        case Tab.EVALUATION:
            note = "Accuracies in percent. Another version or number of shots is another test."
            return [
                Panel("matrix", "Scores of the finished models", tables.matrix(comparison), note=note),
                Panel("evaluation", "In full", tables.scores(comparison)),
            ]
        case Tab.CONFIGURATION:
            return [
                Panel("differences", "Settings that differ", tables.configuration(comparison)),
                Panel("configuration", "All settings", tables.configuration(comparison, whole=True)),
            ]
