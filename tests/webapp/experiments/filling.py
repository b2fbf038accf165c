"""The form of a new experiment as a browser fills it in."""

from __future__ import annotations

from typing import Any

from django.test import Client

from webapp.runs.models import Run

NEW = "/experiments/new/"


def values_of(answer: Any) -> dict[str, Any]:
    """What a browser would post from this page."""
    form = answer.context["form"]
    shown = {bound.html_name: bound.value() for bound in form}
    return {name: value for name, value in shown.items() if value is not None and value is not False}


def asked(client: Client, address: str = NEW, **changes: Any) -> dict[str, Any]:
    """The new-experiment form as it is first shown, with these changes."""
    shown = values_of(client.get(address))
    return {"project": "lab", "queue": "cpu", **shown, "title": "EST on text", **changes}


def edited(client: Client, values: dict[str, Any], do: str, **changes: Any) -> dict[str, Any]:
    """The form after one of its buttons was pressed, without JavaScript."""
    return values_of(client.post("/experiments/new/arms/", values | changes | {"do": do}))


def with_est(client: Client, **changes: Any) -> dict[str, Any]:
    """The form as shown, with an EST arm added."""
    return edited(client, asked(client), "add", **{"add.method": "est"}) | changes


def refusals(client: Client, **changes: Any) -> dict[str, str]:
    """Launch an EST arm with these changes; the messages at each field."""
    answer = client.post(NEW, with_est(client, **changes))
    assert answer.status_code == 422
    assert not Run.objects.exists()
    return {name: " ".join(found) for name, found in answer.context["form"].errors.items()}


def plan_of(client: Client, values: dict[str, Any]) -> Any:
    return client.post("/experiments/new/plan/", values)
