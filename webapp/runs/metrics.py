"""Stores points and the bill of a run. Callers hold the run's row lock: `port` alone calls this."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from django.db import connection

from training.records import OUTSIDE_TRAINING, CostLine, Point, Purpose
from webapp.runs import models as tables
from webapp.runs import statements


def store_points(points: Sequence[Point], *, run: int, fence: int, event: int) -> None:
    """Upsert by (series, step); a value that is not finite is stored as null."""
    unique = list({(point.phase, point.name, point.step): point for point in points}.values())
    columns = _columns(Point, unique)
    columns["value"] = [value if math.isfinite(value) else None for value in columns["value"]]
    with connection.cursor() as cursor:
        cursor.execute(statements.SERIES, columns | {"run": run})
        cursor.execute(statements.POINTS, columns | {"run": run, "fence": fence, "event": event})


def store_costs(costs: Sequence[CostLine], *, run: int) -> None:
    """Lines are totals so far, so storing them again changes nothing."""
    unique = list({(line.phase, line.purpose): line for line in costs}.values())
    if unique:
        with connection.cursor() as cursor:
            cursor.execute(statements.COSTS, _columns(CostLine, unique) | {"run": run})
            outside = [str(purpose) for purpose in OUTSIDE_TRAINING]
            cursor.execute(statements.TOTALS, {"run": run, "outside": outside})


def rebook(kept: Sequence[CostLine], *, run: int) -> None:
    """Go back to the bill `kept`; the rest of what was spent is booked `redone`."""
    bill = tables.CostLine.objects.filter(run_id=run)
    stored = [CostLine(*row) for row in bill.values_list(*(field.name for field in fields(CostLine)))]
    bill.delete()
    store_costs([*kept, *redone(stored, kept)], run=run)


def redone(stored: Sequence[CostLine], kept: Sequence[CostLine]) -> list[CostLine]:
    """What is lost per phase: all that was ever spent, less what the checkpoint kept. The total never shrinks."""
    lost: dict[str, CostLine] = {}
    for sign, lines in ((1, stored), (-1, [line for line in kept if line.purpose != Purpose.REDONE])):
        for line in lines:
            total = lost.setdefault(line.phase, CostLine(line.phase, Purpose.REDONE))
            total.executed += sign * line.executed
            total.effective += sign * line.effective
            total.wall_seconds += sign * line.wall_seconds
            total.examples += sign * line.examples
            total.tokens += sign * line.tokens
    return [_not_negative(line) for line in lost.values() if line.executed > 0 or line.wall_seconds > 0]


def _not_negative(line: CostLine) -> CostLine:
    amounts = {name: max(0, value) for name, value in asdict(line).items() if name not in ("phase", "purpose")}
    return CostLine(line.phase, line.purpose, **amounts)


def _columns(kind: type[Point] | type[CostLine], rows: Sequence[Point | CostLine]) -> dict[str, list[Any]]:
    """One list per field, each of one type, as PostgreSQL's unnest takes them."""
    types = {"float": float, "int": int}
    return {
        field.name: [types.get(str(field.type), str)(getattr(row, field.name)) for row in rows]
        for field in fields(kind)
    }
