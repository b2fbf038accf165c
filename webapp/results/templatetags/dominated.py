"""What an experiment saved by pausing dominated arms, for its page."""

from __future__ import annotations

from typing import Any

from django import template

from webapp.experiments.models import Experiment
from webapp.runs import dominance

register = template.Library()


@register.inclusion_tag("results/_dominated.html")
def dominated(experiment: Experiment) -> dict[str, Any]:
    """Nothing where the experiment does not ask for it."""
    if not experiment.stop_dominated:
        return {}
    return {"spared": dominance.spared(experiment), "events": dominance.reasons(experiment), "asked": True}
