"""How the parts of a spec fit together: task and data, data and network, methods with each other. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations
from typing import TYPE_CHECKING

from training import catalog
from training.catalog import Stage, TaskCard

if TYPE_CHECKING:
    from training.spec import DataSpec, RunSpec

Path = tuple[str, ...]


def disagreements(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    """Where fields that are sound by themselves do not suit each other: the path, and a sentence that says why."""
    yield from _data(spec)
    yield from _methods(spec)
    task = catalog.task(spec.task)
    if len(set(spec.evals)) != len(spec.evals):
        yield ("evals",), "a task is named twice"
    for name in spec.evals:
        if name not in task.evals:
            yield ("evals",), f"{task.title} is not judged by {name!r}; there are {', '.join(task.evals)}"


def _data(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    task, data, preset = catalog.task(spec.task), spec.data, spec.model.preset
    if not re.fullmatch(task.source, data.source):
        yield ("data", "source"), f"{data.source!r} names no data for {task.title}; {task.sources}"
    for name, field in type(data).model_fields.items():
        if name not in task.fields and getattr(data, name) != field.default:
            yield ("data", name), f"{task.title} does not use it"
        elif name in task.needs(data) and getattr(data, name) is None:
            yield ("data", name), f"say it: {data.source} does not come with it"
    if preset not in task.presets:
        yield ("model", "preset"), f"no preset {preset!r}; there are {', '.join(task.presets)}"
    elif all(getattr(data, name) is not None for name in task.needs(data)) and (fault := _misfit(task, data, preset)):
        yield ("model", "preset"), fault
    elif task.length(data) > (limit := task.presets[preset].context):
        yield ("model",), f"{preset} holds {limit} tokens, less than the context of {data.context}"


def _misfit(task: TaskCard, data: DataSpec, preset: str) -> str:
    """Why the network cannot have the sizes of the data; empty if it can."""
    try:
        task.shape(data, preset)
    except ValueError as fault:
        return str(fault)
    return ""


def _methods(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    task, cards = catalog.task(spec.task), [catalog.card(name) for name in spec.methods]
    if len(set(spec.methods)) != len(spec.methods):
        yield ("methods",), "a method is named twice"
        return
    for card in cards:
        if task.name not in card.tasks:
            fits = " or ".join(catalog.task(name).title for name in card.tasks if name in catalog.tasks())
            yield ("methods",), f"{card.title} is not for {task.title}; it is for {fits}"
        elif spec.model.preset in task.presets and (reason := card.refuses(spec.knobs[card.name], spec)):
            yield ("knobs", card.name), reason
    for first, second in combinations(spec.methods, 2):
        if reason := clash(first, second):
            yield ("methods",), reason


def clash(first: str, second: str) -> str:
    """Why these two methods cannot share a run; empty if they can."""
    one, other = catalog.card(first), catalog.card(second)
    both = [words for aspect, words in catalog.ASPECTS.items() if aspect in one.owns and aspect in other.owns]
    return f"{one.title} and {other.title} both decide {both[0]}; choose one of them" if both else ""


def product(parts: Sequence[Sequence[Stage]], dense: float) -> tuple[Stage, ...]:
    """The stages of several methods in one run: what each leaves of `dense` FLOPs per token, multiplied.

    Exact for one method. For several it is a forecast: what two of them save need not be independent.
    """
    if len(parts) == 1:
        return tuple(parts[0])
    lengths = [sum(stage.share for stage in stages) for stages in parts]
    ends = [
        list(accumulate(stage.share / length for stage in stages))
        for stages, length in zip(parts, lengths, strict=True)
    ]
    total, merged, start = 1.0, list[Stage](), 0.0
    for length in lengths:
        total *= length
    for end in sorted({round(end, 12) for of_one in ends for end in of_one}):
        middle, flops, names = (start + end) / 2, dense, list[str]()
        for stages, of_one in zip(parts, ends, strict=True):
            stage = next(stage for stage, until in zip(stages, of_one, strict=True) if middle < until)
            flops, names = flops * stage.flops_per_token / dense, [*names, stage.name]
        merged.append(Stage(" + ".join(dict.fromkeys(names)), (end - start) * total, flops))
        start = end
    return tuple(merged)
