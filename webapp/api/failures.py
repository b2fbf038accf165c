"""Every refusal and failure as one problem document, whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import set_rollback

from webapp.api.problems import MEDIA_TYPE, PREFIX, FieldError, Problem, ProblemDocument, missing

log = logging.getLogger("webapp.api")


def handle(failure: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler; what nobody expected is logged and answered without its words."""
    set_rollback()
    problem = _problem(failure)
    if problem.status_code >= 500:
        log.error("request failed", exc_info=failure)
    headers = {}
    if challenge := getattr(failure, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if problem.status_code == 503:
        headers["Retry-After"] = "5"
    if wait := getattr(failure, "wait", None):
        headers["Retry-After"] = str(ceil(wait))
    return Response(document(problem), status=problem.status_code, headers=headers, content_type=MEDIA_TYPE)


def document(problem: Problem) -> ProblemDocument:
    return ProblemDocument(
        type=PREFIX + problem.code,
        title=HTTPStatus(problem.status_code).phrase,
        status=problem.status_code,
        detail=str(problem.detail),
        errors=[FieldError(path=path, message=message) for path, message in problem.errors.items()],
    )


def _problem(failure: Exception) -> Problem:
    match failure:
        case Problem():
            return failure
        case Http404():
            return missing()
        case PermissionDenied():
            return Problem(403, "forbidden", str(failure) or "You may not do this.")
        case RequestDataTooBig():
            return Problem(413, "too-large", "The body is larger than this address takes.")
        case SuspiciousOperation():
            return Problem(400, "malformed", "The request is malformed.")
        case OperationalError() | InterfaceError():
            return Problem(503, "unavailable", "The database is busy or away; nothing was lost. Try again in a moment.")
        case APIException():
            return Problem(failure.status_code, _code(failure), str(failure.detail))
        case _:
            return Problem(500, "failure", "The server failed; its log has the reason.")


def _code(failure: APIException) -> str:
    return HTTPStatus(failure.status_code).phrase.lower().replace(" ", "-")
