"""The calibration page: every finished run that has a forecast, held against it."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from webapp.experiments.forecast import RECENT
from webapp.experiments.models import Forecast
from webapp.runs.models import Run, State
from webapp.teams.access import person

SHOWN = 500
"""Most finished runs on the page, the latest first."""


@dataclass(frozen=True)
class Held:
    """A finished run against its forecast; errors are shares of the forecast, positive where it took more."""

    run: Run
    forecast: Forecast

    @property
    def device(self) -> str:
        return str(self.run.environment.get("device", "unknown"))

    @property
    def flops_error(self) -> float:
        return self.run.executed_flops / self.forecast.flops - 1

    @property
    def seconds_error(self) -> float | None:
        return self.run.wall_seconds / self.forecast.seconds - 1 if self.forecast.seconds else None

    @property
    def inside(self) -> bool | None:
        """Whether the training time lies in the interval; None where there was none."""
        low, high = self.forecast.low, self.forecast.high
        return None if low is None or high is None else low <= self.run.wall_seconds <= high


@dataclass(frozen=True)
class Record:
    """How good the forecasts of one device were, or of all."""

    name: str
    runs: int
    timed: int
    flops_error: float
    seconds_error: float | None
    inside: float | None

    @classmethod
    def of(cls, name: str, held: list[Held]) -> Record:
        timed = [abs(one.seconds_error) for one in held if one.seconds_error is not None]
        judged = [one.inside for one in held if one.inside is not None]
        return cls(
            name,
            len(held),
            len(timed),
            statistics.median(abs(one.flops_error) for one in held),
            statistics.median(timed) if timed else None,
            statistics.fmean(judged) if judged else None,
        )


def finished() -> QuerySet[Forecast]:
    """Forecasts of runs that succeeded, the latest first."""
    done = Forecast.objects.filter(run__state=State.SUCCEEDED, run__wall_seconds__gt=0, flops__gt=0)
    return done.order_by("-run__finished_at", "-pk")


def median_error(devices: Iterable[str]) -> tuple[int, float | None]:
    """Of how many latest finished runs on these devices, and how far their training time lay from its forecast."""
    rows = finished().filter(seconds__gt=0, run__environment__device__in=list(devices))
    pairs = rows.values_list("run__wall_seconds", "seconds")[:RECENT]
    errors = [abs(actual / ours - 1) for actual, ours in pairs if ours]
    return len(errors), statistics.median(errors) if errors else None


@require_GET
def calibration(request: HttpRequest) -> HttpResponse:
    """Forecasts against what the person's finished runs cost, in all and per device."""
    mine = finished().filter(run__in=Run.objects.for_user(person(request)))
    total = mine.count()
    held = [Held(forecast.run, forecast) for forecast in mine.select_related("run__arm__experiment")[:SHOWN]]
    devices: dict[str, list[Held]] = defaultdict(list)
    for one in held:
        devices[one.device].append(one)
    records = [Record.of("All devices", held)] if held else []
    records += [Record.of(name, of) for name, of in sorted(devices.items())] if len(devices) > 1 else []
    context = {"held": held, "total": total, "records": records, "figure": scatter(devices)}
    return render(request, "experiments/calibration.html", context)


def scatter(devices: dict[str, list[Held]]) -> dict[str, Any]:
    """Training time against its forecast, with its interval and the line of equality."""
    timed = {name: [one for one in of if one.forecast.seconds] for name, of in sorted(devices.items())}
    ends = [value for of in timed.values() for one in of for value in (one.forecast.seconds or 0, one.run.wall_seconds)]
    if not ends:
        return {}
    traces = [_points(place, name, of) for place, (name, of) in enumerate(timed.items(), start=1) if of]
    equal = {"type": "line", "x0": min(ends), "y0": min(ends), "x1": max(ends), "y1": max(ends)}
    layout = {
        "xaxis": {"type": "log", "dtick": "D2", "title": {"text": "forecast training time, s, log"}},
        "yaxis": {"type": "log", "dtick": "D2", "title": {"text": "actual training time, s, log"}},
        "shapes": [equal | {"line": {"color": "--ink-2", "width": 1, "dash": "dash"}}],
        "hovermode": "closest",
    }
    return {"data": traces, "layout": layout}


def _points(place: int, device: str, held: list[Held]) -> dict[str, Any]:
    """One device's runs; the bar is the interval of the forecast."""
    pairs = [(one, one.forecast.seconds or 0.0) for one in held]
    return {
        "x": [seconds for _, seconds in pairs],
        "y": [one.run.wall_seconds for one, _ in pairs],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [(one.forecast.high or seconds) - seconds for one, seconds in pairs],
            "arrayminus": [seconds - (one.forecast.low or seconds) for one, seconds in pairs],
            "thickness": 1,
        },
        "name": f"{device} (n = {len(held)})",
        "text": [one.run.code for one in held],
        "meta": {"arm": place, "role": "point"},
    }
