"""The form of a study, made from its knobs and the spec that its runs share; nothing about a study is written here.

Fields are named by the paths of a study's body: `knobs.steps`, `base.data.domain`, `seeds`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from training import catalog
from training.catalog import StudyCard
from training.knobs import Knobs
from training.spec import RunSpec
from webapp.datasets.sources import HUB, source_choices
from webapp.experiments import studies
from webapp.experiments.fields import flat, form_field, leaves, nested, preset_choices, typed
from webapp.experiments.forms import APART, GROUPS
from webapp.experiments.launch_form import LaunchForm
from webapp.experiments.models import Experiment
from webapp.experiments.payload import shared
from webapp.experiments.seeds import seeds_text
from webapp.experiments.services import TEXTS, ArmRequest, LaunchRefused
from webapp.runs.models import Run


class StudyForm(LaunchForm):
    """What a person asks of a study: its knobs, and what its runs share."""

    def __init__(self, card: StudyCard, data: Any = None, *, projects: Any, initial: Any = None) -> None:
        super().__init__(data, projects=projects, initial=initial or {})
        self.card = card
        self.usual = RunSpec.model_validate(dict(card.base))
        self.task = catalog.task(self.usual.task)
        self.knobs: Knobs = card.knobs()
        self.base = self.usual
        self.arms: tuple[ArmRequest, ...] = ()
        """The runs that the study asks for first; none while its knobs and its base are not sound."""
        self.infos = dict(leaves(card.knobs, "knobs."))
        self.infos |= {path: info for path, info in leaves(RunSpec, "base.") if self._asks(path)}
        begin = flat(shared(self.usual), "base.")
        for path, info in self.infos.items():
            self.fields[path] = form_field(info)
            self.fields[path].initial = begin.get(path, self.fields[path].initial)
            self._name_networks(self.fields[path])
        for name in TEXTS:
            if name in self.task.fields:
                self._add_text(name, projects)
        self.fields["seeds"].initial = seeds_text((0,))
        self.fields["seeds"].help_text = "how many (3 means 0, 1, 2), or a list (4, 8, 15); each trains the whole grid"

    def _asks(self, path: str) -> bool:
        """Whether a person decides this field of the spec: neither the study does, nor has the task no use for it."""
        _, group, *rest = path.split(".")
        return group not in (*APART, *self.card.decides) and (group != "data" or rest[0] in self.task.fields)

    def _name_networks(self, field: forms.Field) -> None:
        if isinstance(field, forms.MultipleChoiceField):
            words = dict(preset_choices(self.task.name))
            field.choices = [(value, words.get(value, value)) for value, _ in field.choices]  # type: ignore[misc, union-attr]

    def _add_text(self, name: str, projects: Any) -> None:
        """A choice among the texts that there are, and room for one that is elsewhere."""
        field = self.fields[f"base.data.{name}"]
        also = self._given(f"base.data.{name}") or field.initial or ""
        field.widget = forms.Select(choices=source_choices(self.task.name, projects, also=also))
        field.help_text = ""
        self.fields[f"hub.{name}"] = forms.CharField(
            required=False, max_length=190, label=f"{field.label} from Hugging Face",
            help_text="owner/name; overrides the choice",
        )  # fmt: skip

    def knob_fields(self) -> list[BoundField]:
        return [self[path] for path in self.infos if path.startswith("knobs.")]

    def groups(self) -> Iterator[tuple[str, list[BoundField]]]:
        """Titled groups of what the runs share, for the template."""
        for group, title in GROUPS.items():
            prefix = f"base.{group}".rstrip(".")
            paths = [path for path in self.infos if path.rpartition(".")[0] == prefix]
            hubs = [name for name in self.fields if group == "data" and name.startswith("hub.")]
            if paths:
                yield title, [self[path] for path in [*paths, *hubs]]

    def clean(self) -> dict[str, Any]:
        """Judge the study as REST does; errors land at the field that they name."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = nested(self._typed())
        try:
            self.knobs, self.base = studies.judged(self.card.name, given.get("knobs", {}), given.get("base", {}))
            self.arms = tuple(studies.asked(self.card.name, self.knobs, self.base))
        except LaunchRefused as refusal:
            self._place(refusal.problems)
        if not self.errors:
            wanted = {name: cleaned[name] for name in ("project", "title", "seeds", "queue")}
            self._place(studies.refusals(self.card.name, self.arms, **wanted))
        return cleaned

    def _typed(self) -> dict[str, Any]:
        """Values by path; an empty field of a value that may be left out is left out."""
        cleaned = self.cleaned_data
        values = {path: typed(cleaned[path], self.fields[path]) for path in self.infos if path in cleaned}
        values = {path: value for path, value in values.items() if value != "" or self.infos[path].default is not None}
        hubs = {name: str(cleaned.get(f"hub.{name}", "")).strip() for name in TEXTS}
        return values | {f"base.data.{name}": HUB + hub for name, hub in hubs.items() if hub}

    def _place(self, found: dict[str, str]) -> None:
        """Put each message at the field that its path names: the path itself or the longest part of it that is one."""
        deepest = [path for path in found if not any(other.startswith(f"{path}.") for other in found)]
        for path in deepest:
            parts = path.split(".")
            names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
            name = next((name for name in names if name in self.fields), None)
            place = path.removeprefix(name or "").lstrip(".")
            said = f"value {int(place) + 1}: " if place.isdecimal() else f"{place}: " if place else ""
            hub = (name or "").replace("base.data.", "hub.")
            self.add_error(hub if hub in self.fields and self.data.get(hub) else name, said + found[path])


def cloned(experiment: Experiment) -> dict[str, Any]:
    """Form values that repeat a study."""
    runs = list(Run.objects.filter(arm__experiment=experiment).values_list("seed", "queue"))
    first = experiment.arms.order_by("pk")[0].spec
    knobs = catalog.study(experiment.study).knobs.model_validate(experiment.study_knobs)
    return {
        "title": experiment.title,
        "question": experiment.question,
        "project": experiment.project.slug,
        "seeds": seeds_text(sorted({seed for seed, _ in runs})),
        "queue": runs[0][1] if runs else "",
        **flat(knobs.model_dump(), "knobs."),
        **flat(shared(first), "base."),
    }
