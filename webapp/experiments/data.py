"""What stands against a launch's data before any worker reads it: not there, of another kind or size, too short."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db.models import QuerySet

from training import catalog
from training.data.check import DataError, check_text
from training.data.folder import files
from training.spec import RunSpec
from webapp.datasets.models import Dataset, Kind
from webapp.datasets.sources import KINDS
from webapp.teams.models import Project

SIZES = ("resolution", "channels", "classes")
"""What an image set has of its own and a spec says of it, by the same names."""


def data_problems(spec: RunSpec, project: Project) -> dict[str, str]:
    """Why this project cannot train on the spec's data, by path; empty if nothing is known against them."""
    kind, _, code = spec.data.source.partition(":")
    problems = {"data.source": _against_text(spec.data.source, spec.data.context)}
    if kind == "dataset":
        problems = _against_upload(spec, project, code)
    problems["data.domain"] = _against_text(spec.data.domain or "", spec.data.context)
    return {path: message for path, message in problems.items() if message}


def sizes(source: str, project: Project | None) -> dict[str, int]:
    """What a spec says of an uploaded image set of the project, by path; of every other source nothing."""
    found = _uploads(project).filter(code=source.removeprefix("dataset:"), kind=Kind.IMAGES).first()
    return {f"data.{name}": getattr(found, name) for name in SIZES} if found and source == found.source else {}


def _uploads(project: Project | None) -> QuerySet[Dataset]:
    return Dataset.objects.filter(project=project) if project else Dataset.objects.none()


def _against_upload(spec: RunSpec, project: Project, code: str) -> dict[str, str]:
    found, task = _uploads(project).filter(code=code).first(), catalog.task(spec.task)
    if found is None:
        return {"data.source": f"this project has no data set {code}"}
    if found.kind != KINDS[task.unit]:
        words = {Kind.TEXT: "texts", Kind.IMAGES: "images"}
        message = f"{task.title} learns from {words[KINDS[task.unit]]}, {code} is of {words[Kind(found.kind)]}"
        return {"data.source": f"{message}; choose another"}
    if found.kind == Kind.TEXT:
        return {"data.source": _too_short(found.bytes, spec.data.context)}
    return {
        f"data.{name}": f"{given}, but the data set {code} has {own}; give {own}"
        for name in SIZES
        if (given := getattr(spec.data, name)) != (own := getattr(found, name))
    }


def _against_text(source: str, context: int) -> str:
    """Why a text of the data folder cannot be trained on; empty for every other source."""
    kind, _, name = source.partition(":")
    if kind != "text":
        return ""
    try:
        return _too_short(_checked_bytes(name), context)
    except DataError as problem:
        return problem.message
    except OSError as failure:
        return f"{name!r} of the data folder cannot be read: {failure.strerror}"


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
