"""What a table or chart is taken away as, read back by the libraries that people use."""

from __future__ import annotations

import io
import json

import plotly.graph_objects as go
import pyarrow.parquet as pq

from tests.webapp.results import planted
from webapp.results.comparison import Unit
from webapp.results.exports import parquet, plotly
from webapp.results.loss_chart import loss_vs_cost
from webapp.results.tables import Table


def test_parquet_keeps_the_types_of_columns() -> None:
    table = Table("Things", ("name", "whole", "part"), (("a", 1, 0.5), ("b", 2, None)))
    read = pq.read_table(io.BytesIO(parquet(table)))
    assert [str(kind) for kind in read.schema.types] == ["string", "int64", "double"]
    assert read.to_pylist()[1] == {"name": "b", "whole": 2, "part": None}


def test_a_column_of_mixed_cells_is_text() -> None:
    read = pq.read_table(io.BytesIO(parquet(Table("Mixed", ("value",), ((1,), ("x",), (0.25,))))))
    assert read.to_pydict() == {"value": ["1", "x", "0.25"]}


def test_columns_of_one_name_stay_apart() -> None:
    read = pq.read_table(io.BytesIO(parquet(Table("Twice", ("low", "high", "low"), ((1, 2, 3),)))))
    assert read.to_pydict() == {"low": [1], "high": [2], "low 2": [3]}


def test_an_empty_table_keeps_its_headings() -> None:
    assert pq.read_table(io.BytesIO(parquet(Table("Empty", ("a", "b"), ())))).column_names == ["a", "b"]


def test_plotly_opens_an_exported_figure() -> None:
    arm = planted.arm("Dense", [planted.run(seed) for seed in (1, 2, 3)])
    body = json.loads(plotly(loss_vs_cost(planted.comparison(arm), Unit.EXECUTED)))
    assert len(go.Figure(body).data) == len(body["data"])
