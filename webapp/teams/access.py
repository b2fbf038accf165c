"""Who may write: the one policy that every view of a project's things asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.teams.models import Membership, Project, Role

if TYPE_CHECKING:
    from django.contrib.auth.models import User

RANK = {role: place for place, role in enumerate(Role)}


def person(request: HttpRequest) -> User:
    """Who asks; every address but the open ones is for people who signed in."""
    assert request.user.is_authenticated
    return request.user


def role_in(user: Any, project: Project) -> Role | None:
    """The user's role; None for one who is not a member."""
    found = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return Role(found) if found else None


def may(user: Any, project: Project, least: Role = Role.MEMBER) -> bool:
    """Whether the user has at least this role in the project."""
    role = role_in(user, project)
    return role is not None and RANK[role] >= RANK[least]


def require(user: Any, project: Project, least: Role = Role.MEMBER) -> None:
    """Refuse, in words, somebody whose role is too low."""
    if not may(user, project, least):
        raise PermissionDenied(f"This needs the role {least.label.lower()} in {project.name}; ask one of its admins.")


def writable(user: Any) -> QuerySet[Project]:
    """Projects in which the user may launch and change things."""
    able = [role for role in Role if RANK[role] >= RANK[Role.MEMBER]]
    return Project.objects.filter(membership__user=user, membership__role__in=able)
