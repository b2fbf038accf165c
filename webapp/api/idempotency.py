"""A request sent twice with one `Idempotency-Key` acts once (IETF draft-ietf-httpapi-idempotency-key-header)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiParameter
from pydantic_core import to_json
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.models import KeptAnswer
from webapp.api.problems import Problem
from webapp.teams.access import person

KEPT = timedelta(hours=24)
NAME = "Idempotency-Key"
HEADER = OpenApiParameter(
    NAME,
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="makes a repeat of this request within 24 hours answer as the first did, without acting again",
)


def once(request: Request, content: bytes, act: Callable[[], Response]) -> HttpResponseBase:
    """Act, or answer again what was answered; a duplicate that comes meanwhile waits for the first to commit.

    A refusal is not kept: its transaction is rolled back, and the same request is judged anew.
    """
    key = request.headers.get(NAME)
    if key is None:
        return act()
    if not re.fullmatch("[!-~]{1,200}", key):
        raise Problem(400, "bad-idempotency-key", f"{NAME} is 1 to 200 printable ASCII characters.")
    address = f"{request.method} {request.path}\n".encode()
    fingerprint = hashlib.sha256(address + content).hexdigest()
    user = person(request)
    with transaction.atomic():
        KeptAnswer.objects.filter(user=user, created_at__lt=Now() - KEPT).delete()
        kept, fresh = KeptAnswer.objects.get_or_create(user=user, key=key, defaults={"fingerprint": fingerprint})
        if kept.fingerprint != fingerprint:
            raise Problem(422, "idempotency-key-reused", "This key was used for another request.")
        return _keep(kept, act()) if fresh else _again(kept)


def _keep(kept: KeptAnswer, answer: Response) -> Response:
    kept.status, kept.location = answer.status_code, answer.headers.get("Location", "")
    kept.body = to_json(answer.data, inf_nan_mode="null").decode()
    kept.save()
    return answer


def _again(kept: KeptAnswer) -> HttpResponse:
    headers = {"Idempotent-Replayed": "true"} | ({"Location": kept.location} if kept.location else {})
    return HttpResponse(kept.body, status=kept.status, headers=headers, content_type="application/json")
