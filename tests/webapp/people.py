"""People of a project, signed in."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client

from webapp.teams.models import Membership, Project, Role


def member(role: Role = Role.MEMBER, username: str = "ada", slug: str = "lab") -> Client:
    """Somebody signed in, with this role in a project."""
    user = User.objects.create_user(username)
    project, _ = Project.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    Membership.objects.create(project=project, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client
