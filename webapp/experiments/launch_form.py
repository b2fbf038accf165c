"""What every form that launches runs asks for."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from webapp.experiments.planning import queues
from webapp.experiments.seeds import parse_seeds
from webapp.teams.models import Project
from webapp.text import line, readable

QUEUE = r"[a-z0-9][a-z0-9-]{0,39}"


class LaunchForm(forms.Form):
    """A title, a question, and where and how often the runs are made."""

    title = forms.CharField(
        max_length=200, label="Title", validators=[line], widget=forms.TextInput(attrs={"maxlength": 200})
    )
    question = forms.CharField(
        max_length=2000,
        required=False,
        label="What do you want to know?",
        validators=[readable],
        widget=forms.Textarea(attrs={"rows": 2, "maxlength": 2000}),
    )
    project = forms.ModelChoiceField(Project.objects.none(), empty_label=None, to_field_name="slug", label="Project")
    seeds = forms.CharField(
        initial="3", max_length=500, help_text="how many (3 means 0, 1, 2), or a list (4, 8, 15); 3 give an interval"
    )
    queue = forms.ChoiceField(label="Queue", help_text="which workers run it")

    def __init__(self, data: Any = None, *, projects: Any, initial: dict[str, Any]) -> None:
        super().__init__(data, initial=initial)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]
        given = str(self._given("queue") or "")
        names = dict.fromkeys([*queues(), *([given] if re.fullmatch(QUEUE, given) else [])])
        self.fields["queue"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]

    def _given(self, name: str) -> Any:
        """What was typed, or else what was to be shown."""
        return self.data.get(name) if self.is_bound else self.initial.get(name)

    def clean_seeds(self) -> tuple[int, ...]:
        return parse_seeds(self.cleaned_data["seeds"])
