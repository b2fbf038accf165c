"""Problem documents (RFC 9457): their shape, and the refusals that the API makes itself."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, Field, ValidationError
from rest_framework.exceptions import APIException

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:flopwise:problem:"


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
