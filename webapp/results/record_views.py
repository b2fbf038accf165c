"""The records page, and launching a record's arm again to time it on this hardware."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from webapp.experiments import services
from webapp.experiments.models import Arm, Experiment
from webapp.experiments.planning import queues
from webapp.results import notation, records
from webapp.results.comparison import Unit
from webapp.results.records import Board, Field, Hardware, Record
from webapp.results.settled import Settled, settled
from webapp.runs.models import Run
from webapp.teams.access import person, require, writable

UNITS = (Unit.EXECUTED, Unit.SECONDS)
"""What records are kept in."""
SHOWN = 4
"""Targets that a field shows at once, the lowest; the others fold away."""


class Row(NamedTuple):
    """A record as the page shows it."""

    record: Record
    executed: str
    seconds: str
    gain: str
    p: str
    again: list[Experiment]


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Per field and target loss the table of improvements over time."""
    unit = next((unit for unit in UNITS if unit.value == request.GET.get("unit")), Unit.EXECUTED)
    found = settled(person(request))
    fields = _by_field(records.boards(found, machines(found), unit), retimings(request.user))
    context = {
        "fields": [(field, tables[:SHOWN], tables[SHOWN:]) for field, tables in fields],
        "unit": unit,
        "units": UNITS,
        "rules": records.RULES,
        "retimable": set(
            Arm.objects.filter(experiment__project__in=writable(request.user)).values_list("code", flat=True)
        ),
    }
    return render(request, "results/records.html", context)


def machines(found: Iterable[Settled]) -> dict[str, Hardware]:
    """What each run of these experiments ran on; runs that no worker started have no entry."""
    rows = Run.objects.filter(arm__experiment__code__in=[each.code for each in found], environment__has_key="device")
    facts = rows.values_list("code", "queue", KT("environment__device"), KT("environment__threads"))
    return {code: Hardware(queue, device, int(threads or 1)) for code, queue, device, threads in facts}


Retimed = dict[str, list[Experiment]]
"""Experiments that time an arm again, by the code of that arm."""


def _by_field(boards: Iterable[Board], again: Retimed) -> list[tuple[Field, list[tuple[Board, list[Row]]]]]:
    grouped = groupby(boards, key=lambda board: board.field)
    return [(field, [(board, _rows(board, again)) for board in tables]) for field, tables in grouped]


def _rows(board: Board, again: Retimed) -> list[Row]:
    """Newest first, each with what it gained on the record before it."""
    rows, before = [], None
    for record in board.records:
        cost = record.entry.mean(board.unit)
        gain = notation.percent(1 - cost / before) if before else ""
        executed, seconds = (notation.quantity(record.entry.mean(unit), unit) for unit in UNITS)
        chance = "" if record.p is None else _chance(record.p)
        rows.append(Row(record, executed, seconds, gain, chance, again.get(record.entry.arm.code, [])))
        before = cost
    return rows[::-1]


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def retimings(user: Any) -> Retimed:
    rows = Experiment.objects.for_user(user).filter(retimes__isnull=False).select_related("retimes").order_by("pk")
    found: Retimed = {}
    for row in rows:
        assert row.retimes is not None
        found.setdefault(row.retimes.code, []).append(row)
    return found


@login_required
@require_POST
def retime(request: HttpRequest, code: str) -> HttpResponse:
    """Launch an arm again with the same seeds, beside its baseline, so that the result is matched too."""
    mine = Arm.objects.filter(experiment__in=Experiment.objects.for_user(request.user))
    arm = get_object_or_404(mine.select_related("experiment__project"), code=code)
    project = arm.experiment.project
    require(request.user, project)
    queue, seeds = queues()[0], sorted(arm.runs.values_list("seed", flat=True))
    beside = arm.experiment.arms.filter(is_baseline=True).exclude(pk=arm.pk)
    arms = [services.ArmRequest(each.label, each.spec, each.is_baseline or not beside) for each in (*beside, arm)]
    try:
        again = services.launch(
            project=project, owner=person(request), title=f"Re-timing of {arm.label}: {arm.experiment.title}"[:200],
            question=f"Does {arm.label} of experiment {arm.experiment.code} cost the same again, here and now?",
            arms=arms, seeds=seeds, queue=queue,
        )  # fmt: skip
    except services.LaunchRefused as refusal:
        messages.error(request, f"Not launched. {refusal}.")
        return redirect("records")
    Experiment.objects.filter(pk=again.pk).update(retimes=arm)
    messages.success(request, f"Timing {arm.label} again.")
    return redirect("experiment", again.code)
