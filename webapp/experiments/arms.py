"""Changes to the arms of a form as it was posted: one more, one less, one filled in from a preset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import QueryDict

from training import catalog
from training.knobs import Knobs
from webapp.experiments.fields import flat


def new_arm(number: int, method: str, labels: Iterable[str]) -> dict[str, str]:
    """The fields of an arm of this method as it comes, with a label that no other arm has."""
    card, taken = catalog.card(method), set(labels)
    label = next(name for count in range(1, len(taken) + 2) if (name := _counted(card.title, count)) not in taken)
    prefix = f"arms.{number}."
    return {prefix + "methods": method, prefix + "label": label} | _knobs(prefix, method, card.knobs())


def without_arm(data: QueryDict, number: int) -> QueryDict:
    """The same without this arm."""
    rest = data.copy()
    for name in list(rest):
        if name.startswith(f"arms.{number}."):
            del rest[name]
    return rest


def fill_in(data: QueryDict, number: int) -> None:
    """Set the knobs of this arm as its chosen preset says; nothing chosen changes nothing."""
    prefix = f"arms.{number}."
    method, _, name = str(data.get(prefix + "preset", "")).partition("/")
    presets = (catalog.card(method).presets or {}) if method in catalog.names() else {}
    if method not in data.getlist(prefix + "methods") or name not in presets:
        return
    for path in [path for path in data if path.startswith(f"{prefix}knobs.{method}.")]:
        del data[path]
    for path, value in _knobs(prefix, method, presets[name]).items():
        data[path] = value


def _counted(title: str, count: int) -> str:
    return title if count == 1 else f"{title} {count}"


def _knobs(prefix: str, method: str, knobs: Knobs) -> dict[str, str]:
    """As a browser posts them: a box that is not ticked is not there."""
    values: dict[str, Any] = flat(knobs.model_dump(mode="json"), f"{prefix}knobs.{method}.")
    return {path: str(value) for path, value in values.items() if value is not False and value is not None}
