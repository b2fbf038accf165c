"""Who calls: a bearer token in the header, else the session of the site."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from webapp.teams.models import Token

REMEMBER = timedelta(minutes=1)
"""How exactly the last use of a token is known; it saves a write per request."""


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer <secret>`, and nowhere else: addresses end up in logs."""

    def authenticate(self, request: Request) -> tuple[Any, Token] | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        now = timezone.now()
        valid = Token.objects.select_related("user").filter(
            revoked_at=None, expires_at__gt=now, user__is_active=True, digest=Token.digest_of(secret.strip())
        )
        token = valid.first()
        if token is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked.")
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - REMEMBER)
        if token.last_used_at is None or token.last_used_at < now - REMEMBER:
            Token.objects.filter(stale, pk=token.pk).update(last_used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="flopwise"'


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document calls it."""

    target_class = BearerToken
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
