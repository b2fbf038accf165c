"""The new-experiment form's other view: the launch as JSON, in the words that REST takes."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from webapp.api.bodies import LaunchBody, in_body
from webapp.api.operations import read
from webapp.api.problems import Problem
from webapp.api.wire import parse
from webapp.experiments import payload, services
from webapp.experiments.services import ArmRequest


class WrittenForm(forms.Form):
    """A launch typed as JSON; errors name their paths."""

    written = forms.CharField(
        strip=False,
        label="The launch as JSON",
        help_text="what REST takes at /api/v1/experiments; settings that are left out have their defaults",
        widget=forms.Textarea(attrs={"rows": 30, "spellcheck": "false", "class": "code"}),
    )

    def __init__(self, data: Any = None, *, projects: Any, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        self.projects = projects
        self.body: LaunchBody | None = None
        self.arms: tuple[ArmRequest, ...] = ()

    def clean(self) -> dict[str, Any]:
        """Judge the body as REST does; what the form view has by field is in `cleaned_data` then."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "written" not in cleaned:
            return cleaned
        try:
            self.body = body = read(LaunchBody, parse(cleaned["written"].encode()))
        except Problem as problem:
            self._tell(dict(problem.errors) or {"": str(problem.detail)})
            return cleaned
        self.arms = body.requests
        names = ("title", "question", "seeds", "queue", "stop_dominated")
        cleaned |= {name: getattr(body, name) for name in names}
        project = self.projects.filter(slug=body.project).first()
        if project is None:
            self._tell({"project": f"you may not launch in a project {body.project}"})
            return cleaned
        cleaned["project"] = project
        wanted = {name: cleaned[name] for name in ("project", "title", "seeds", "queue")}
        self._tell(in_body(services.refusals(arms=self.arms, **wanted)))
        return cleaned

    def _tell(self, found: dict[str, str]) -> None:
        for path, message in found.items():
            self.add_error("written", f"{path}: {message}" if path else message)

    def values(self) -> dict[str, Any] | None:
        """Initial values of the form that say the same; None where it is no launch, or one without arms."""
        self.full_clean()
        body = self.body
        if body is None or not body.arms:
            return None
        return payload.form_values(
            [ArmRequest(arm.label, arm.spec, arm.is_baseline) for arm in body.arms],
            body.seeds,
            title=body.title,
            question=body.question,
            project=body.project,
            queue=body.queue,
            matched_baselines=body.matched_baselines,
            stop_dominated=body.stop_dominated,
        )


def in_words(body: dict[str, Any]) -> str:
    """JSON as a person reads it."""
    return json.dumps(body, indent=2, ensure_ascii=False)
