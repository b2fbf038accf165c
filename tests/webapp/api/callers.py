"""People with roles and tokens, and clients that call the API for them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from webapp.teams.models import Membership, Token


class Api:
    """A caller with one token."""

    def __init__(self, secret: str | None) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {secret}"} if secret else {})

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1/{path}", headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return self.client.post(f"/api/v1/{path}", text, content_type="application/json", headers=headers)


def person(name: str, role: str | None = None, project: Any = None) -> User:
    user = User.objects.create_user(name)
    if role:
        Membership.objects.create(user=user, project=project, role=role)
    return user


def token(user: User, *, days: float = 1, **changes: Any) -> str:
    row, secret = Token.issue(user, "test", timezone.now() + timedelta(days=days))
    Token.objects.filter(pk=row.pk).update(**changes)
    return secret
