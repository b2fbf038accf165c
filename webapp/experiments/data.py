"""What stands against a launch's data before any worker reads it: not there, not text, surely too short."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

from django.conf import settings

from training.data.check import DataError, check_text
from training.data.folder import files
from training.spec import DataSpec
from webapp.datasets.models import Dataset
from webapp.teams.models import Project


def data_problem(data: DataSpec, project: Project, field: Literal["source", "domain"] = "source") -> str:
    """Why this project cannot train on it, or on its second text; empty if nothing is known against it."""
    kind, _, name = (getattr(data, field) or "").partition(":")
    if kind == "dataset":
        size = Dataset.objects.filter(project=project, code=name).values_list("bytes", flat=True).first()
        return f"this project has no data set {name}" if size is None else _too_short(size, data.context)
    if kind == "text":
        try:
            return _too_short(_checked_bytes(name), data.context)
        except DataError as problem:
            return problem.message
        except OSError as failure:
            return f"{name!r} of the data folder cannot be read: {failure.strerror}"
    return ""


def _checked_bytes(name: str) -> int:
    """Size of a text or of the texts of a folder, each of them looked at once; DataError."""
    found = files(name, Path(settings.DATA_ROOT))
    known = [(file, file.stat()) for file in found]
    return sum(_bytes(file, facts.st_mtime_ns, facts.st_size) for file, facts in known)


@lru_cache(maxsize=256)
def _bytes(file: Path, changed: int, size: int) -> int:
    """Bytes of a sound text; time and size are there to read again what has changed."""
    return check_text(file, name=f"the file {file.name!r}").bytes


def _too_short(size: int, context: int) -> str:
    """A token is at least one byte, so this many bytes are too few with any tokenizer."""
    needed = f"a context of {context} needs at least {context + 1} tokens"
    return f"the text has {size} bytes, {needed}" if size <= context else ""
