"""A report with everything it rests on, as one value: rendered live for a draft, kept as canonical JSON when frozen."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from training.knobs import Strict
from webapp.results.tables import Cell, Table
from webapp.reviews.syntax import Kind


class Grid(Strict):
    """A table's headings and rows; `total` counts the rows there were."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int

    @property
    def shown(self) -> list[list[str]]:
        """The first rows as a person reads them."""
        return Table(self.caption, self.headings, self.rows).shown


class Drawing(Strict):
    """A Plotly figure, the sentence that says what it shows, and how many points of how many."""

    figure: dict[str, Any]
    summary: str
    shown: int
    total: int


class Embed(Strict):
    """A chart with its table twin, or a table, in one unit of cost."""

    kind: Kind
    name: str
    unit: str
    title: str
    note: str
    grid: Grid
    drawing: Drawing | None = None

    @property
    def anchor(self) -> str:
        """What comments hang on; the same wherever the report moves the embed."""
        return f"{self.kind}-{self.name}-{self.unit}"


class Item(Strict):
    """A line of the checklist: computed, never ticked."""

    title: str
    is_met: bool
    evidence: str
    link: str


class RunMark(Strict):
    """A run as it stood."""

    code: str
    seed: int
    state: str


class ArmMark(Strict):
    """An arm by the digest of its spec, with its runs."""

    label: str
    code: str
    digest: str
    runs: tuple[RunMark, ...]


class Document(Strict):
    """The whole report at one moment."""

    version: int = 1
    report: str
    revision: int
    title: str
    author: str
    experiment: str
    experiment_title: str
    question: str
    at: datetime
    body: str
    answers: tuple[str, ...]
    progress: str
    embeds: tuple[Embed, ...]
    checklist: tuple[Item, ...]
    arms: tuple[ArmMark, ...]

    @property
    def canonical(self) -> str:
        """JSON with sorted keys and no spaces; equal documents give equal bytes."""
        plain = self.model_dump(mode="json")
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @property
    def open_items(self) -> tuple[Item, ...]:
        return tuple(item for item in self.checklist if not item.is_met)


def sha256(canonical: str) -> str:
    return hashlib.sha256(canonical.encode()).hexdigest()
