"""How the parts of a spec fit together: task and data, data and network, methods with each other. Torch-free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate, combinations, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from training import catalog
from training.catalog import Card, Stage, TaskCard

if TYPE_CHECKING:
    from training.spec import DataSpec, RunSpec

Path = tuple[str, ...]
MOST_STEPS = 10_000_000
MOST_FLOPS = 1e24
"""The longest run, in either unit."""


def disagreements(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    """Where fields that are sound by themselves do not suit each other: the path, and a sentence that says why."""
    found = [*_data(spec), *_methods(spec), *_evals(spec)]
    yield from found or _budget(spec)


def _evals(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    task = catalog.task(spec.task)
    if len(set(spec.evals)) != len(spec.evals):
        yield ("evals",), "a task is named twice"
    for name in spec.evals:
        if name not in task.evals:
            yield ("evals",), f"{task.title} is not judged by {name!r}; there are {', '.join(task.evals)}"


def _budget(spec: RunSpec) -> Iterator[tuple[Path, str]]:
    """Baselines restate a budget in steps and in FLOPs, so it has to be within the limits of both."""
    given = "steps" if spec.budget.steps else "tokens" if spec.budget.tokens else "flops"
    if (steps := spec.steps()) > MOST_STEPS:
        yield ("budget", given), f"that is {steps:.3g} steps here; at most {MOST_STEPS:,}"
    elif (flops := spec.train_flops()) > MOST_FLOPS:
        yield ("budget", given), f"that executes {flops:.3g} FLOPs; at most {MOST_FLOPS:.0g}"
    elif (twin := flops / (spec.shape.train_flops(spec.length) * spec.tokens_per_step)) > MOST_STEPS:
        yield ("budget", given), f"a dense arm of as many FLOPs would train {twin:.3g} steps; at most {MOST_STEPS:,}"


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


Form = Callable[[Any], Sequence[Stage]]
"""The closed form of a method with its knobs: from the shape of a network to the stages of its training."""


def stages(spec: RunSpec) -> Iterator[tuple[Any, Stage]]:
    """The closed form of a run, each stage with the shape of the network that is given to its fit.

    In each phase of the method that owns them all others go through their stages. Exact where a method tells the
    network that is left for the others to change. Else what each leaves is multiplied, which is a forecast: what two of
    them save need not be independent.
    """
    cards = sorted((catalog.card(name) for name in spec.methods), key=lambda card: not card.program)
    forms = [_form(card, spec) for card in cards]
    if len(forms) == 1 and not cards[0].program:
        yield from ((spec.shape, stage) for stage in forms[0](spec.shape))
        return
    phases = forms.pop(0)(spec.shape) if cards[0].program else (Stage("", 1.0, spec.shape.train_flops(spec.length)),)
    for phase in phases:
        network = phase.network or spec.shape
        if not forms:
            yield network, phase
        whole = network.train_flops(spec.length)
        for stage in _together(forms, network, spec.length):  # none without others
            name, left = " + ".join(filter(None, (phase.name, stage.name))), stage.flops_per_token / whole
            yield network, Stage(name, phase.share * stage.share, phase.flops_per_token * left)


def _form(card: Card, spec: RunSpec) -> Form:
    return cache(lambda network: card.stages(spec.knobs[card.name], network, spec.length))


def _together(forms: Sequence[Form], network: Any, context: int) -> Iterator[Stage]:
    """The stages of methods that go through theirs at once, those that tell the network they leave first."""
    forms = sorted(forms, key=lambda form: not any(stage.network for stage in form(network)))
    lengths = [sum(stage.share for stage in form(network)) for form in forms]
    ends = {
        round(end / length, 12)
        for form, length in zip(forms, lengths, strict=True)
        for end in accumulate(stage.share for stage in form(network))
    }
    for start, end in pairwise([0.0, *sorted(ends)]):
        flops, names, left = network.train_flops(context), list[str](), network
        for form, length in zip(forms, lengths, strict=True):
            stage = _at((start + end) / 2 * length, form(left))
            flops *= stage.flops_per_token / left.train_flops(context)
            names, left = [*names, stage.name], stage.network or left
        yield Stage(" + ".join(dict.fromkeys(names)), (end - start) * prod(lengths), flops)


def _at(time: float, found: Sequence[Stage]) -> Stage:
    """The stage of this moment."""
    return next(stage for stage, end in zip(found, accumulate(s.share for s in found), strict=True) if time < end)
