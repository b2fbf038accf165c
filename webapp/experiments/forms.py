"""The new-experiment form, made from the run spec and the method cards; nothing about a method is written here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from pydantic import ValidationError

from training import catalog
from training.catalog import Card
from training.spec import EVALS, Budget, RunSpec, problems
from webapp.datasets.sources import HUB, source_choices
from webapp.experiments import services
from webapp.experiments.fields import flat, form_field, leaves, nested, preset_choices
from webapp.experiments.models import Experiment
from webapp.experiments.planning import queues
from webapp.experiments.services import ArmRequest
from webapp.teams.models import Project

APART = ("version", "task", "methods", "knobs", "evals")
"""Fields of the spec that the form does not take one by one."""
GROUPS = {"model": "Model", "data": "Data", "": "Training", "optim": "Optimiser"}
"""Order and titles of the groups; the empty name holds the spec's own plain fields."""


@dataclass
class MethodBlock:
    """One method of the form: whether it is picked, its presets and knobs."""

    card: Card
    picked: bool
    knobs: list[BoundField]
    presets: list[str]
    errors: list[str] = field(default_factory=list)


class ExperimentForm(forms.Form):
    """What a person asks for: one arm per picked method, one run per arm and seed."""

    title = forms.CharField(max_length=200, label="Title", widget=forms.TextInput(attrs={"maxlength": 200}))
    question = forms.CharField(
        max_length=2000,
        required=False,
        label="What do you want to know?",
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": 2000}),
    )
    project = forms.ModelChoiceField(Project.objects.none(), empty_label=None, to_field_name="slug", label="Project")
    seeds = forms.CharField(
        initial="3", max_length=500, help_text="how many (3 means 0, 1, 2), or a list (4, 8, 15); 3 give an interval"
    )
    queue = forms.ChoiceField(label="Queue", help_text="which workers run it")
    evals = forms.MultipleChoiceField(
        choices=[(name, name) for name in EVALS],
        initial=EVALS,
        required=False,
        label="Downstream tasks",
        widget=forms.CheckboxSelectMultiple,
    )
    methods = forms.MultipleChoiceField(
        initial=("dense",), error_messages={"required": "choose at least one method; dense is the baseline"}
    )

    def __init__(self, data: Any = None, *, projects: Any, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.paths = [path for path, _ in leaves(RunSpec) if path.split(".")[0] not in (*APART, "budget")]
        self.arms: list[ArmRequest] = []
        self.method_errors: dict[str, list[str]] = {}
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]
        self.fields["queue"].choices = [(name, name) for name in queues()]  # type: ignore[attr-defined]
        self.fields["methods"].choices = [(name, name) for name in catalog.names()]  # type: ignore[attr-defined]
        self._add_spec_fields(projects)
        self._add_knobs()

    def _add_spec_fields(self, projects: Any) -> None:
        fields = dict(leaves(RunSpec))
        for path in self.paths:
            self.fields[path] = form_field(fields[path])
        self.fields["model.preset"].widget = forms.Select(choices=preset_choices())
        given = self.data.get("data.source") or self.initial.get("data.source", "")
        self.fields["data.source"].widget = forms.Select(choices=source_choices(projects, also=given))
        self.fields["data.source"].help_text = ""
        self.fields["data.hub"] = forms.CharField(
            required=False, max_length=190, label="or a Hugging Face id", help_text="owner/name; overrides the choice"
        )
        limits = [(name, info.title or name) for name, info in Budget.model_fields.items()]
        start = next(iter(flat(RunSpec().budget.model_dump(exclude_none=True)).items()))
        self.fields["budget.kind"] = forms.ChoiceField(choices=limits, initial=start[0], label="Budget in")
        self.fields["budget.amount"] = forms.CharField(
            required=False, initial=start[1], label="Budget", widget=forms.NumberInput(attrs={"min": 1, "step": "any"})
        )

    def _add_knobs(self) -> None:
        for name, card in catalog.cards().items():
            for path, info in leaves(card.knobs, f"knobs.{name}."):
                self.fields[path] = form_field(info)

    def groups(self) -> Iterator[tuple[str, list[BoundField]]]:
        """Titled groups of the spec's fields, for the template."""
        for group, title in GROUPS.items():
            paths = [path for path in self.paths if path.rpartition(".")[0] == group]
            paths += ["data.hub"] if group == "data" else []
            paths = ["budget.kind", "budget.amount", *paths] if group == "" else paths
            yield title, [self[path] for path in paths]

    def blocks(self) -> list[MethodBlock]:
        """The methods with their knobs, for the template."""
        picked = self["methods"].value() or ()
        return [self.block(card, name in picked) for name, card in catalog.cards().items()]

    def block(self, card: Card, picked: bool) -> MethodBlock:
        knobs = [self[path] for path, _ in leaves(card.knobs, f"knobs.{card.name}.")]
        return MethodBlock(card, picked, knobs, list(card.presets or {}), self.method_errors.get(card.name, []))

    def clean_seeds(self) -> tuple[int, ...]:
        return parse_seeds(self.cleaned_data["seeds"])

    def clean(self) -> dict[str, Any]:
        """Judge every arm by the spec, then the launch as a whole; errors land at the field they name."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.arms = []
        for name in cleaned.get("methods", ()):
            try:
                spec = RunSpec.model_validate(self._payload(cleaned, name))
            except ValidationError as failure:
                self._place(problems(failure))
            else:
                self.arms.append(ArmRequest(catalog.card(name).title, spec, is_baseline=not self.arms))
        if not self.errors and not self.method_errors:
            wanted = {name: cleaned[name] for name in ("project", "title", "seeds", "queue")}
            self._place(services.refusals(arms=self.arms, **wanted))
        return cleaned

    def _payload(self, cleaned: dict[str, Any], method: str) -> dict[str, Any]:
        values = {path: cleaned[path] for path in self.paths if path in cleaned}
        if cleaned.get("data.hub"):
            values["data.source"] = HUB + cleaned["data.hub"].strip()
        values[f"budget.{cleaned.get('budget.kind')}"] = cleaned.get("budget.amount")
        prefix = f"knobs.{method}."
        knobs = {path.removeprefix(prefix): cleaned[path] for path in self.fields if path.startswith(prefix)}
        return nested(values) | {"methods": [method], "knobs": {method: nested(knobs)}, "evals": cleaned.get("evals")}

    def _place(self, found: dict[str, str]) -> None:
        """Put each message at the field that its path names, once; a path of several fields means their first."""
        for path, message in found.items():
            inner = path.split(".", 2)[-1] if path.startswith("arms.") else path
            group, _, method = inner.partition(".")
            if group == "knobs" and inner not in self.fields:
                self.method_errors.setdefault(method, []).append(message)
                continue
            place = "budget.amount" if group == "budget" else inner
            place = "data.hub" if place == "data.source" and self.data.get("data.hub") else place
            known = (name for name in self.fields if name == place or name.startswith(f"{place}."))
            name = next(known, None) if place else None
            if message not in self.errors.get(name or "__all__", []):
                self.add_error(name, message)

    def is_valid(self) -> bool:
        return super().is_valid() and not self.method_errors


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` is a count, `4, 8, 15` is a list; ValidationError in words."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and len(part) <= 10 for part in parts):
        raise forms.ValidationError("give a number of seeds, or a list of whole numbers like 4, 8, 15")
    if len(parts) == 1 and "," not in text:
        if not 1 <= int(parts[0]) <= services.SEEDS:
            raise forms.ValidationError(f"between 1 and {services.SEEDS} seeds in one launch")
        return tuple(range(int(parts[0])))
    return tuple(map(int, parts))


def cloned(experiment: Experiment) -> dict[str, Any]:
    """Initial values that repeat an experiment."""
    arms = sorted(experiment.arms.all(), key=lambda arm: (not arm.is_baseline, arm.pk))
    first = arms[0].spec
    values = flat(first.model_dump(mode="json", exclude=set(APART) | {"budget"}))
    kind, amount = next(iter(first.budget.model_dump(exclude_none=True).items()))
    for arm in arms:
        for name, knobs in arm.spec.knobs.items():
            values |= flat(knobs.model_dump(mode="json"), f"knobs.{name}.")
    seeds = sorted({run.seed for arm in arms for run in arm.runs.all()})
    if str(values["data.source"]).startswith(HUB):
        values |= {"data.hub": values["data.source"].removeprefix(HUB), "data.source": "sotu"}
    return values | {
        "title": experiment.title,
        "question": experiment.question,
        "project": experiment.project.slug,
        "methods": list(dict.fromkeys(name for arm in arms for name in arm.spec.methods)),
        "seeds": str(len(seeds)) if seeds == list(range(len(seeds))) else f"{', '.join(map(str, seeds))},",
        "budget.kind": kind,
        "budget.amount": amount,
        "evals": list(first.evals),
    }
