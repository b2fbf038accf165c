"""Pages of experiments."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from webapp.experiments.models import Experiment
from webapp.runs.models import Run
from webapp.teams.models import Membership, Project, Role

pytestmark = pytest.mark.django_db


def member(role: Role = Role.MEMBER, username: str = "ada", slug: str = "lab") -> Client:
    """Somebody signed in, with this role in a project."""
    user = User.objects.create_user(username)
    project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    Membership.objects.create(project=project, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def asked(client: Client, **changes: Any) -> dict[str, Any]:
    """The new-experiment form as it is first shown, with these changes."""
    form = client.get(reverse("experiment-new")).context["form"]
    shown = {bound.html_name: bound.value() for bound in form}
    values = {name: value for name, value in shown.items() if value is not None and value is not False}
    return values | {"project": "lab", "queue": "cpu", "title": "EST on text", "budget.amount": "20"} | changes


def test_the_form_as_shown_launches_a_dense_baseline_on_three_seeds() -> None:
    client = member()
    answer = client.post(reverse("experiment-new"), asked(client))
    assert answer.status_code == 302, answer.context["form"].errors
    assert sorted(Run.objects.values_list("arm__label", "seed")) == [("Dense", 0), ("Dense", 1), ("Dense", 2)]


def test_a_launch_of_two_methods_makes_the_first_the_baseline() -> None:
    client = member()
    client.post(reverse("experiment-new"), asked(client, methods=["dense", "est"]))
    arms = Experiment.objects.get().arms.order_by("pk")
    assert [(arm.label, arm.is_baseline) for arm in arms] == [("Dense", True), ("Evolving Subnetwork Training", False)]
