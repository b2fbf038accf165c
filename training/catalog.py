"""Finds methods, tasks and studies: every folder of these packages with a `card.py`. Torch-free.

Adding one edits no list.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import training.methods
import training.studies
import training.tasks
from training.knobs import Knobs
from training.models.shape import Architecture
from training.reproduction import Reproduction

if TYPE_CHECKING:
    from training.spec import DataSpec, RunSpec

Aspect = Literal["phases", "step", "subnetwork", "weights", "order", "precision"]
ASPECTS: Mapping[Aspect, str] = {
    "phases": "the phases of a run",
    "step": "what a step computes",
    "subnetwork": "which part of the network runs",
    "weights": "what the weights are made of",
    "order": "which examples come next",
    "precision": "the number format",
}
"""What of a run a method may own, in words. Two methods that own the same cannot share an arm."""


@dataclass(frozen=True)
class Claim:
    """A figure the paper states, with where it stands and the setting it holds for.

    `saving` is a share of FLOPs; `of_dense` says whether of dense training's, and so stands beside what charts draw.
    """

    text: str
    saving: float | None
    setting: str
    source: str
    of_dense: bool = True


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one cost: `share` of the budget's steps, at `flops_per_token` executed.

    The shares sum to less than one for a method that trains fewer steps than its budget has. For images the token
    is an image.
    """

    name: str
    share: float
    flops_per_token: float
    network: Any = None
    """The shape that trains in it, where that is not the spec's: what other methods cost is asked of it."""


@dataclass(frozen=True)
class Card:
    """A method as people meet it: its page, its knobs, its claims. `name` and `text` come from the folder."""

    title: str
    family: str
    paper: str
    knobs: type[Knobs]
    tasks: tuple[str, ...]
    claims: tuple[Claim, ...]
    stages: Callable[[Any, Any, int], tuple[Stage, ...]]
    """`stages(knobs, shape, context)`: the closed form of what training will execute, for the forecast."""
    owns: tuple[Aspect, ...]
    """What of a run the method decides. One that owns the phases has a `run`; any other gives part of `lab.Part`."""
    refuses: Callable[[Any, RunSpec], str] = lambda knobs, spec: ""
    """`refuses(knobs, spec)`: why these knobs do not suit this spec's network, data or budget; empty if they do."""
    presets: dict[str, Knobs] | None = None
    """Named knob settings that the form offers."""
    presets_note: str = ""
    """What a person should know before trusting the presets."""
    reproduction: Reproduction | None = None
    """The experiment that checks the claims; `python -m benchmarks.replicate` runs it."""
    name: str = ""
    text: str = ""

    @property
    def program(self) -> bool:
        """Whether the method owns the phases."""
        return "phases" in self.owns


@dataclass(frozen=True)
class TaskCard:
    """A kind of problem: its data, its networks, and what a finished model can be judged by."""

    title: str
    unit: Literal["token", "image"]
    """What cost is counted per."""
    source: str
    """Pattern of the names of its data, which `sources` puts in words."""
    sources: str
    presets: Mapping[str, Architecture]
    shape: Callable[[DataSpec, str], Any]
    """The preset of that name with the sizes of the data."""
    length: Callable[[DataSpec], int]
    """Units of one example: tokens of a sequence; 1 for images."""
    fields: tuple[str, ...]
    """Fields of the spec's data that mean something here."""
    evals: tuple[str, ...]
    starts_from: Mapping[str, Any]
    """What a spec that names the task and no more has, where the spec's own default does not suit the task.

    Only `data.source`, `data.domain`, `data.resolution`, `data.channels`, `data.classes`, `model.preset` and
    `evals`: never a value that would suit as it is, so that leaving defaults out of a digest loses nothing.
    """
    needs: Callable[[DataSpec], tuple[str, ...]] = lambda data: ()
    """Those fields that have no default and that these data do not come with."""
    shipped: Mapping[str, str] = field(default_factory=dict)
    """Sources that need no upload and no data folder, in words."""
    offers: Callable[[Path], str] = lambda entry: ""
    """How a source names an entry of the data folder; empty if it cannot be this task's data."""
    name: str = ""
    text: str = ""


@dataclass(frozen=True)
class StudyCard:
    """A study as people meet it. Its module `study` has `ask`, `conclude`, `label` and `axes`, all without torch."""

    title: str
    paper: str
    knobs: type[Knobs]
    base: Mapping[str, Any]
    """The spec that its runs share, as a person may change it."""
    decides: Mapping[str, str]
    """Fields of that spec that the study sets itself for every run, and the knob that each comes from; empty: none."""
    trains: tuple[str, ...] = ()
    """Methods that its runs are trained by."""
    varies: Mapping[str, str] = field(default_factory=dict)
    """Fields that are the base's in the first run and differ in some later one, and the knob that those come from."""
    refuses: Callable[[Any, Any], Mapping[str, str]] = lambda knobs, base: {}
    """Why knobs do not suit a base, a sentence by knob; empty if they do."""
    name: str = ""
    text: str = ""


@cache
def card(name: str) -> Card:
    """The card of a method; KeyError if there is no such folder."""
    module = _card_module(training.methods, name)
    found: Card = module.CARD
    return replace(found, name=name, text=module.__doc__ or "")


@cache
def task(name: str) -> TaskCard:
    """The card of a task; KeyError if there is no such folder."""
    module = _card_module(training.tasks, name)
    found: TaskCard = module.CARD
    return replace(found, name=name, text=module.__doc__ or "")


@cache
def study(name: str) -> StudyCard:
    """The card of a study; KeyError if there is no such folder."""
    module = _card_module(training.studies, name)
    found: StudyCard = module.CARD
    return replace(found, name=name, text=module.__doc__ or "")


def studies() -> list[str]:
    """Names of all studies, sorted."""
    return sorted(_folders(training.studies))


def studies_of(method: str) -> list[StudyCard]:
    """Those whose runs are trained by this method."""
    return [card for card in map(study, studies()) if method in card.trains]


def load_study(name: str) -> ModuleType:
    """A study's `study` module."""
    study(name)
    return importlib.import_module(f"training.studies.{name}.study")


def names() -> list[str]:
    """Names of all methods, sorted; `dense`, the baseline, first."""
    return sorted(_folders(training.methods), key=lambda name: (name != "dense", name))


def tasks() -> list[str]:
    """Names of all tasks, sorted; `language_modelling`, the spec's default, first."""
    return sorted(_folders(training.tasks), key=lambda name: (name != "language_modelling", name))


def cards() -> dict[str, Card]:
    return {name: card(name) for name in names()}


def presets() -> dict[str, Architecture]:
    """The named networks of all tasks."""
    return {name: shape for found in tasks() for name, shape in task(found).presets.items()}


def load(name: str) -> ModuleType:
    """A method's `method` module; imports torch."""
    card(name)
    return importlib.import_module(f"training.methods.{name}.method")


def load_task(name: str) -> ModuleType:
    """A task's `task` module; imports torch."""
    task(name)
    return importlib.import_module(f"training.tasks.{name}.task")


def _folders(package: ModuleType) -> list[str]:
    homes = [Path(place) for place in package.__path__]
    return [
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if module.ispkg and any((home / module.name / "card.py").exists() for home in homes)
    ]


def _card_module(package: ModuleType, name: str) -> ModuleType:
    if name not in _folders(package):
        raise KeyError(name)
    return importlib.import_module(f"{package.__name__}.{name}.card")
