"""Every refusal and failure as one problem document (RFC 9457), whoever raised it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404
from pydantic import BaseModel, Field, ValidationError
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.response import Response
from rest_framework.views import set_rollback

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:flopwise:problem:"
log = logging.getLogger("webapp.api")


class FieldError(BaseModel):
    """One thing that is wrong, and where."""

    path: str = Field(description="where in the body or query, e.g. `arms.0.spec.budget.steps`; empty for the whole")
    message: str


class ProblemDocument(BaseModel):
    """Why a request was refused or failed."""

    type: str = Field(description="a stable name of the kind of problem")
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(APIException):
    """A refusal with a stable code; `errors` maps paths to messages."""

    def __init__(self, status: int, code: str, detail: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.errors = errors or {}


def invalid(failure: ValidationError, what: str = "body") -> Problem:
    """All that pydantic found, at once; input values are not echoed."""
    errors = {
        ".".join(str(part) for part in error["loc"]): error["msg"].removeprefix("Value error, ")
        for error in failure.errors(include_url=False, include_context=False, include_input=False)
    }
    return refused(errors, what)


def refused(errors: Mapping[str, str], what: str = "body") -> Problem:
    count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
    return Problem(400, "invalid", f"The {what} has {count}.", errors)


def missing() -> Problem:
    """For what does not exist, and for what belongs to a team of others: nobody can tell which."""
    return Problem(404, "not-found", "There is nothing here that you may see.")


def handle(failure: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler; what nobody expected is logged and answered without its words."""
    set_rollback()
    problem = _problem(failure)
    if problem.status_code >= 500:
        log.error("request failed", exc_info=failure)
    headers = {}
    if challenge := getattr(failure, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(failure, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return Response(document(problem), status=problem.status_code, headers=headers, content_type=MEDIA_TYPE)


def document(problem: Problem) -> ProblemDocument:
    return ProblemDocument(
        type=PREFIX + problem.code,
        title=HTTPStatus(problem.status_code).phrase,
        status=problem.status_code,
        detail=_words(problem.detail),
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
        case APIException():
            return Problem(failure.status_code, _code(failure), _words(failure.detail))
        case _:
            return Problem(500, "failure", "The server failed; its log has the reason.")


def _code(failure: APIException) -> str:
    return HTTPStatus(failure.status_code).phrase.lower().replace(" ", "-")


def _words(detail: ErrorDetail | str | Sequence[Any] | Mapping[str, Any]) -> str:
    return str(detail)
