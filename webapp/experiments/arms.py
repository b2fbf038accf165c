"""Changes to the arms of a form as it was posted: one more, one less, one filled in from a preset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from django.http import QueryDict

from training import catalog
from training.catalog import Card
from training.composition import clash
from training.knobs import Knobs
from webapp.experiments.fields import flat
from webapp.experiments.payload import start


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


def combine(data: QueryDict, number: int) -> None:
    """Give this arm the method that was chosen beside those it has."""
    prefix = f"arms.{number}."
    method, methods = str(data[prefix + "with"]), data.getlist(prefix + "methods")
    if method in methods:
        return
    data.setlist(prefix + "methods", [*[name for name in methods if name != "dense"], method])
    for path, value in _knobs(prefix, method, catalog.card(method).knobs()).items():
        data[path] = value
    data[prefix + "label"] = _joined(data.getlist(prefix + "methods"))


def partners(methods: Sequence[str]) -> list[Card]:
    """Methods that could share an arm with these: for the same task, and deciding nothing that these decide."""
    own = [name for name in methods if name != "dense"]
    tasks = [set(catalog.card(name).tasks) for name in own]
    return [
        card
        for name, card in catalog.cards().items()
        if own and name not in ("dense", *own) and set.intersection(*tasks, {*card.tasks})
        if not any(clash(name, other) for other in own)
    ]


def add_combinations(data: QueryDict, numbers: Mapping[int, Sequence[str]]) -> None:
    """Add an arm for every set of two or more methods that have arms of their own and can share one.

    With those arms and their dense baselines this is a full factorial plan: it shows whether methods add up.
    """
    single = {methods[0]: number for number, methods in numbers.items() if len(methods) == 1 and methods[0] != "dense"}
    known = {frozenset(methods) for methods in numbers.values()}
    sets = [chosen for size in range(2, len(single) + 1) for chosen in combinations(single, size)]
    for chosen in sets:
        if frozenset(chosen) in known or any(clash(*pair) for pair in combinations(chosen, 2)):
            continue
        prefix = f"arms.{max(arm_numbers(data), default=-1) + 1}."
        data.setlist(prefix + "methods", list(chosen))
        data[prefix + "label"] = _joined(chosen)
        for method in chosen:
            own = f"arms.{single[method]}."
            for path in [path for path in data if path.startswith(f"{own}knobs.{method}.")]:
                data.setlist(prefix + path.removeprefix(own), data.getlist(path))


def for_task(data: QueryDict, numbers: Mapping[int, Sequence[str]]) -> QueryDict:
    """The same for the task that was chosen: its data, network and evaluations, and the arms whose methods suit it."""
    task, rest = str(data.get("task", "")), data.copy()
    gone = ("data.", "model.", "evals")
    for name in [name for name in rest if name.startswith(gone)]:
        del rest[name]
    for number, methods in numbers.items():
        if any(name in catalog.names() and task not in catalog.card(name).tasks for name in methods):
            rest = without_arm(rest, number)
    if not arm_numbers(rest):
        rest.update(new_arm(0, "dense", ()))
    begin = flat(start(task).model_dump(mode="json", include={"data", "model"}))
    rest.update({path: str(value) for path, value in begin.items() if value is not None})
    rest.setlist("evals", list(start(task).evals))
    return rest


def arm_numbers(data: Iterable[str]) -> list[int]:
    """The numbers of the arms in a posted form, in order; there may be gaps."""
    found = (re.fullmatch(r"arms\.(\d{1,4})\.methods", name) for name in data)
    return sorted(int(match[1]) for match in found if match)


def _joined(methods: Iterable[str]) -> str:
    return " + ".join(catalog.card(name).title for name in methods if name in catalog.names())[:100]


def _counted(title: str, count: int) -> str:
    return title if count == 1 else f"{title} {count}"


def _knobs(prefix: str, method: str, knobs: Knobs) -> dict[str, str]:
    """As a browser posts them: a box that is not ticked is not there."""
    values: dict[str, Any] = flat(knobs.model_dump(mode="json"), f"{prefix}knobs.{method}.")
    return {path: str(value) for path, value in values.items() if value is not False and value is not None}
