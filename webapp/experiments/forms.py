"""The new-experiment form, made from the run spec and the method cards; nothing about a method is written here.

Fields are named by the paths of a launch (`arms.0.knobs.est.heads`, `seeds`), so that what is wrong has its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.http import QueryDict
from pydantic import ValidationError

from training import catalog
from training.catalog import Card
from training.spec import Budget, RunSpec, problems
from webapp.datasets.sources import HUB, source_choices
from webapp.experiments import payload, services
from webapp.experiments.arms import arm_numbers, partners
from webapp.experiments.baselines import completed
from webapp.experiments.data import SIZES, sizes
from webapp.experiments.fields import JSONObject, flat, form_field, leaves, nested, preset_choices, typed
from webapp.experiments.launch_form import LaunchForm
from webapp.experiments.payload import start
from webapp.experiments.services import ArmRequest

APART = (*payload.OWN, "evals", "budget")
"""Fields of the spec that the form does not take one by one."""
GROUPS = {"model": "Model", "data": "Data", "": "Training", "optim": "Optimiser"}
"""Order and titles of the groups; the empty name holds the spec's own plain fields."""


@dataclass(frozen=True)
class ArmBlock:
    """One arm of the form, for the template."""

    number: int
    cards: list[Card]
    methods: BoundField
    label: BoundField
    is_baseline: BoundField
    changes: BoundField
    knobs: list[BoundField]

    @property
    def partners(self) -> list[Card]:
        """Methods that could share the arm."""
        return partners([card.name for card in self.cards])

    @property
    def presets(self) -> list[tuple[str, str]]:
        """Name in the form and in words, of an arm of one method or of several."""
        return [
            (f"{card.name}/{name}", name if len(self.cards) == 1 else f"{card.title}: {name}")
            for card in self.cards
            for name in card.presets or {}
        ]


class ExperimentForm(LaunchForm):
    """What a person asks for: arms by number, what they share, and the seeds that replicate them."""

    matched_baselines = forms.BooleanField(
        required=False,
        initial=True,
        label="Add matched dense baselines",
        help_text="at equal steps and at equal FLOPs; without them no saving is claimed",
    )
    stop_dominated = forms.BooleanField(
        required=False,
        label="Pause arms that cannot reach the frontier any more",
        help_text="as soon as an arm that costs no more is all but sure to end at a lower loss; paused runs can be "
        "resumed, and until then nothing is said of their arm",
    )
    evals = forms.MultipleChoiceField(
        required=False,
        label="Downstream tasks",
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, data: Any = None, *, projects: Any, initial: Any = None) -> None:
        super().__init__(data, projects=projects, initial={"arms.0.methods": ["dense"]} | (initial or {}))
        name = self._given("task")
        self.task = catalog.task(name if name in catalog.tasks() else RunSpec().task)
        self.paths = {path: info for path, info in leaves(RunSpec) if self._asks(path)}
        self.typed: dict[int, dict[str, Any]] = {}
        """Each arm as plain values, sound or not."""
        self.asked: list[ArmRequest] = []
        self.arms: tuple[ArmRequest, ...] = ()
        """The arms of the launch: those asked for that are sound, and their matched baselines."""
        self._add_spec_fields(projects)
        self.numbers = {number: self._add_arm(number) for number in self._numbers()}
        """Number of each arm, and the names of its methods; numbers may have gaps."""

    def _numbers(self) -> list[int]:
        return arm_numbers(self.data if self.is_bound else self.initial)

    def _asks(self, path: str) -> bool:
        """Whether the form takes this field of the spec, one by one, for this task."""
        group, _, name = path.partition(".")
        return group not in APART and (group != "data" or name in self.task.fields)

    def _add_spec_fields(self, projects: Any) -> None:
        begin = start(self.task.name)
        usual = flat(begin.model_dump(mode="json", exclude={"budget"}))
        for path, info in self.paths.items():
            self.fields[path] = form_field(info)
            self.fields[path].initial = usual[path]
        tasks = [(name, catalog.task(name).title) for name in catalog.tasks()]
        self.fields["task"] = forms.ChoiceField(choices=tasks, initial=self.task.name, label="Task")
        self.fields["evals"].choices = [(name, name) for name in self.task.evals]  # type: ignore[attr-defined]
        self.fields["evals"].initial = begin.evals
        self.fields["model.preset"].widget = forms.Select(choices=preset_choices(self.task.name))
        also = self._given("data.source") or ""
        self.fields["data.source"].widget = forms.Select(choices=source_choices(self.task.name, projects, also=also))
        self.fields["data.source"].help_text = ""
        for path in {f"data.{name}" for name in SIZES} & self.paths.keys():
            self.fields[path].help_text += "; empty takes an uploaded set's own"
        self.fields["data.hub"] = forms.CharField(
            required=False, max_length=190, label="or a Hugging Face id", help_text="owner/name; overrides the choice"
        )
        titles = {"tokens": f"{self.task.unit}s".capitalize()}
        limits = [(name, titles.get(name, info.title or name)) for name, info in Budget.model_fields.items()]
        kind, amount = next(iter(begin.budget.model_dump(exclude_none=True).items()))
        self.fields["budget.kind"] = forms.ChoiceField(choices=limits, initial=kind, label="Budget in")
        self.fields["budget.amount"] = forms.CharField(
            required=False, initial=amount, label="Budget", widget=forms.NumberInput(attrs={"min": 1, "step": "any"})
        )

    def _add_arm(self, number: int) -> list[str]:
        prefix = f"arms.{number}."
        name = prefix + "methods"
        methods: list[str] = self.data.getlist(name) if isinstance(self.data, QueryDict) else self.initial[name]
        cards = [catalog.card(method) for method in methods if method in catalog.names()]
        self.fields[name] = forms.Field(required=False, widget=forms.MultipleHiddenInput, label="Methods")
        self.fields[prefix + "label"] = forms.CharField(
            required=False,
            strip=False,
            label="Label",
            initial=" and ".join(card.title for card in cards)[:100],
            widget=forms.TextInput(attrs={"maxlength": 100}),
        )
        self.fields[prefix + "is_baseline"] = forms.BooleanField(required=False, label="All others are held against it")
        self.fields[prefix + "changes"] = JSONObject(
            required=False,
            label="Other settings",
            help_text='as JSON, e.g. {"optim": {"learning_rate": 0.002}}',
            widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        )
        for card in cards:
            for path, info in leaves(card.knobs, f"{prefix}knobs.{card.name}."):
                self.fields[path] = form_field(info)
        return methods

    def groups(self) -> Iterator[tuple[str, list[BoundField]]]:
        """Titled groups of the spec's fields, for the template."""
        for group, title in GROUPS.items():
            paths = [path for path in self.paths if path.rpartition(".")[0] == group]
            paths += ["data.hub"] if group == "data" else []
            paths = ["budget.kind", "budget.amount", *paths] if group == "" else paths
            yield title, [self[path] for path in paths]

    def blocks(self) -> list[ArmBlock]:
        """The arms, for the template."""
        return [self.block(number) for number in self.numbers]

    def block(self, number: int) -> ArmBlock:
        prefix = f"arms.{number}."
        cards = [catalog.card(name) for name in self.numbers[number] if name in catalog.names()]
        fields = {name: self[prefix + name] for name in ("methods", "label", "is_baseline", "changes")}
        knobs = [self[name] for name in self.fields if name.startswith(f"{prefix}knobs.")]
        return ArmBlock(number, cards, **fields, knobs=knobs)

    def clean(self) -> dict[str, Any]:
        """Judge every arm by the spec, then the launch as a whole; errors land at the field they name."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.asked, self.typed = [], dict(self._written_arms())
        for number in self.numbers:
            if payload.OWN & cleaned.get(f"arms.{number}.changes", {}).keys():
                self.add_error(f"arms.{number}.changes", "methods and knobs have fields of their own, above")
        for number, arm in self.typed.items():
            try:
                spec = RunSpec.model_validate(arm["spec"])
            except ValidationError as failure:
                self._place({f"arms.{number}.{path}": message for path, message in problems(failure).items()})
            else:
                self.asked.append(ArmRequest(arm["label"], spec, arm["is_baseline"]))
        self.arms = completed(self.asked, add=cleaned["matched_baselines"])
        if not self.errors:
            numbers = dict(zip(range(len(self.asked)), self.numbers, strict=True))
            wanted = {name: cleaned[name] for name in ("project", "title", "seeds", "queue")}
            found = services.refusals(arms=self.arms, **wanted)
            self._place({_numbered(path, numbers): message for path, message in found.items()})
        return cleaned

    def written(self) -> dict[str, Any]:
        """The form as it was typed, as the body that REST takes; what is no number yet stays text."""
        self.errors  # noqa: B018 fills in `cleaned_data`
        cleaned = self.cleaned_data
        project = cleaned.get("project")
        return {
            "project": project.slug if project else self._given("project"),
            "title": self._given("title") or "",
            "question": self._given("question") or "",
            "arms": list(self.typed.values()),
            "seeds": cleaned.get("seeds", self._given("seeds")),
            "queue": self._given("queue") or "",
            "matched_baselines": cleaned["matched_baselines"],
            "stop_dominated": cleaned["stop_dominated"],
        }

    def _written_arms(self) -> Iterator[tuple[int, dict[str, Any]]]:
        cleaned, base = self.cleaned_data, self._shared()
        for number, methods in self.numbers.items():
            prefix = f"arms.{number}."
            knobs = {
                name.removeprefix(prefix): typed(cleaned[name], self.fields[name])
                for name in cleaned
                if name.startswith(f"{prefix}knobs.")
            }
            own = payload.changed(base, cleaned.get(prefix + "changes", {}))
            yield (
                number,
                {
                    "label": cleaned.get(prefix + "label", ""),
                    "is_baseline": cleaned[prefix + "is_baseline"],
                    "spec": payload.without_defaults(own | {"methods": methods} | nested(knobs)),
                },
            )

    def _shared(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        values = {path: typed(cleaned[path], self.fields[path]) for path in self.paths if path in cleaned}
        values = {path: value for path, value in values.items() if value != "" or self.paths[path].default is not None}
        if hub := str(cleaned.get("data.hub", "")).strip():
            values["data.source"] = HUB + hub
        own = sizes(str(values.get("data.source")), cleaned.get("project"))
        values = {path: size for path, size in own.items() if path in self.paths} | values
        budget = {str(cleaned.get("budget.kind")): typed(cleaned.get("budget.amount"), self.fields["budget.amount"])}
        return nested(values) | {"task": self.task.name, "budget": budget, "evals": cleaned.get("evals", [])}

    def _place(self, found: dict[str, str]) -> None:
        """Put each message at the field that its path names, once; a path of several fields means their first."""
        for path, message in found.items():
            name, said = self._field_of(path), message
            if name and name.endswith(".changes"):
                said = f"{path.split('.', 2)[2]}: {message}"
            if said not in self.errors.get(name or "__all__", []):
                self.add_error(name, said)

    def _field_of(self, path: str) -> str | None:
        """The arm's own field, its own settings, the field that all arms share, or none: the launch as a whole."""
        if path in self.fields or path == "arms":
            return path if path in self.fields else None
        _, number, inner = (*path.split(".", 2), "")[:3] if path.startswith("arms.") else ("", "", path)
        group = inner.partition(".")[0]
        if number:
            own = self.cleaned_data.get(f"arms.{number}.changes")
            if own and group in own:
                return f"arms.{number}.changes"
            if group in ("", "knobs", "methods"):
                return f"arms.{number}.methods"
        place = "budget.amount" if group == "budget" else inner
        place = "data.hub" if place == "data.source" and self.data.get("data.hub") else place
        known = (name for name in self.fields if name == place or name.startswith(f"{place}."))
        return next(known, None) if place else None


def _numbered(path: str, numbers: dict[int, int]) -> str:
    """A path of the launch, whose arms are counted, as a path of the form, whose arms have numbers."""
    group, _, rest = path.partition(".")
    place, _, inner = rest.partition(".")
    return f"arms.{numbers[int(place)]}.{inner}".rstrip(".") if group == "arms" and place else path
