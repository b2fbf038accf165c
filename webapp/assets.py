"""The one static file that no Django app carries: plotly.js, from the plotly wheel itself."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

PLOTLY = "plotly.min.js"


def plotly_folder() -> Path:
    """Where the wheel keeps plotly.js; found without importing plotly."""
    spec = find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data"


class PlotlyFinder(BaseFinder):
    """Offers plotly.js, and nothing else of the wheel, as a static file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.storage = FileSystemStorage(location=plotly_folder())

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def find(self, path: str, find_all: bool = False) -> Any:
        if path != PLOTLY:
            return [] if find_all else None
        found = self.storage.path(PLOTLY)
        return [found] if find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        yield PLOTLY, self.storage
