"""What a chart can be taken away as: its table as CSV or Parquet, its figure as Plotly JSON. PNG is the browser's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum

import pyarrow as pa
import pyarrow.parquet as pq
from django.http import HttpResponse

from webapp.results.figures import Figure
from webapp.results.tables import Cell, Table


class Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"

    @property
    def media_type(self) -> str:
        return {
            Format.CSV: "text/csv; charset=utf-8",
            Format.PARQUET: "application/vnd.apache.parquet",
            Format.JSON: "application/json",
        }[self]


def parquet(table: Table) -> bytes:
    """The table with typed columns; a caption in the metadata, a second column of one name numbered."""
    columns = list(zip(*table.rows, strict=True)) if table.rows else [()] * len(table.headings)
    arrays = [_column(column) for column in columns]
    built = pa.table(dict(zip(_distinct(table.headings), arrays, strict=True)))
    out = pa.BufferOutputStream()
    pq.write_table(built.replace_schema_metadata({"caption": table.caption}), out)
    return bytes(out.getvalue())


def tabular(table: Table, kind: Format) -> bytes:
    return table.csv.encode() if kind is Format.CSV else parquet(table)


def attached(body: bytes, kind: Format, name: str) -> HttpResponse:
    """A file to keep; `name` without its ending."""
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return HttpResponse(body, content_type=kind.media_type, headers=headers)


def plotly(figure: Figure) -> bytes:
    """A figure that Plotly opens anywhere. Colours and dashes are the page's, so they are not in it."""
    return json.dumps({**figure.figure, "frames": []}, allow_nan=False).encode()


def _column(cells: Sequence[Cell]) -> pa.Array:
    """Whole numbers, numbers or truths where all cells are; else text, numbers in full."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {bool}:
        return pa.array(cells, pa.bool_() if kinds else pa.null())
    if kinds <= {int}:
        return pa.array(cells, pa.int64())
    if kinds <= {int, float}:
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    return pa.array([None if cell is None else str(cell) for cell in cells], pa.string())


def _distinct(names: Sequence[str]) -> list[str]:
    """`low, high, low` becomes `low, high, low 2`: readers find columns by name."""
    return [name if name not in names[:at] else f"{name} {names[:at].count(name) + 1}" for at, name in enumerate(names)]
