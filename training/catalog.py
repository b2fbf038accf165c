"""Finds the methods: every folder of `training.methods` with a `card.py`. Adding one edits no list. Torch-free."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import training.methods
from training.knobs import Knobs
from training.models.shape import Shape
from training.reproduction import Reproduction

if TYPE_CHECKING:
    from training.lab import Lab
    from training.outcome import Outcome


@dataclass(frozen=True)
class Claim:
    """A figure the paper states, with where it stands and the setting it holds for."""

    text: str
    saving: float | None
    setting: str
    source: str


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one cost: `share` of the steps, at `flops_per_token` executed."""

    name: str
    share: float
    flops_per_token: float


@dataclass(frozen=True)
class Card:
    """A method as people meet it: its page, its knobs, its claims. `name` and `text` come from the folder."""

    title: str
    family: str
    paper: str
    knobs: type[Knobs]
    tasks: tuple[str, ...]
    claims: tuple[Claim, ...]
    stages: Callable[[Any, Shape, int], tuple[Stage, ...]]
    """`stages(knobs, shape, context)`: the closed form of what training will execute, for the forecast."""
    presets: dict[str, Knobs] | None = None
    """Named knob settings that the form offers."""
    presets_note: str = ""
    """What a person should know before trusting the presets."""
    program: bool = True
    """Whether the method owns the phase structure; two such methods cannot share an arm."""
    reproduction: Reproduction | None = None
    """The experiment that checks the claims; `python -m benchmarks.replicate` runs it."""
    name: str = ""
    text: str = ""


@cache
def card(name: str) -> Card:
    """The card of a method; KeyError if there is no such folder."""
    if name not in names():
        raise KeyError(name)
    module: ModuleType = importlib.import_module(f"training.methods.{name}.card")
    found: Card = module.CARD
    return replace(found, name=name, text=module.__doc__ or "")


def names() -> list[str]:
    """Names of all methods, sorted; `dense`, the baseline, first."""
    found = [module.name for module in pkgutil.iter_modules(training.methods.__path__) if module.ispkg]
    return sorted(found, key=lambda name: (name != "dense", name))


def cards() -> dict[str, Card]:
    return {name: card(name) for name in names()}


def load(name: str) -> Callable[[Lab, Any], Outcome]:
    """The method's `run`; imports torch."""
    card(name)
    run: Callable[[Lab, Any], Outcome] = importlib.import_module(f"training.methods.{name}.method").run
    return run
