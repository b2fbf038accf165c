"""An operation of the API: what it takes and answers is declared once, and is both judged and documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from pydantic import BaseModel, ValidationError
from rest_framework.request import Request

from training.knobs import Strict
from webapp.api.idempotency import HEADER
from webapp.api.problems import invalid, refused
from webapp.api.wire import coerced

Handler = Callable[..., HttpResponseBase]
Shape = TypeVar("Shape", bound=BaseModel)


class Nothing(Strict):
    """An address that takes no parameters."""


def operation(
    name: str,
    answer: type[BaseModel] | Mapping[tuple[int, str], Any],
    *,
    query: type[Strict] = Nothing,
    body: type[BaseModel] | None = None,
    example: Any = None,
    status: int = 200,
    once: bool = False,
) -> Callable[[Handler], Handler]:
    """Judge query and body before the method runs, which gets them by name, and document it all.

    `once` documents that the method heeds an idempotency key.
    """

    def declare(method: Handler) -> Handler:
        @wraps(method)
        def judged(view: Any, request: Request, **path: Any) -> HttpResponseBase:
            asked: dict[str, Any] = {"query": _query(query, request)}
            if body is not None:
                asked["body"] = read(body, request.data)
            return method(view, request, **asked, **path)

        return extend_schema(
            operation_id=name,
            summary=(method.__doc__ or "").partition("\n")[0],
            description=method.__doc__,
            parameters=[*_parameters(query), *([HEADER] if once else [])],
            request=body,
            responses=answer if isinstance(answer, Mapping) else {status: answer},
            examples=[OpenApiExample("Example", value=example, request_only=True)] if example else [],
        )(judged)

    return declare


def _query(shape: type[Strict], request: Request) -> Strict:
    given = request.query_params
    twice = {name: "given more than once" for name, values in given.lists() if len(values) > 1}
    if twice:
        raise refused(twice, "query")
    try:
        return shape.model_validate(given.dict())
    except ValidationError as failure:
        raise invalid(failure, "query") from None


def read(shape: type[Shape], given: Any) -> Shape:
    """The body as its class, without coercion; a Problem names everything that is wrong."""
    try:
        found = shape.model_validate(given)
    except ValidationError as failure:
        raise invalid(failure) from None
    if changed := dict(coerced(given, found)):
        raise refused(changed)
    return found


def _parameters(query: type[Strict]) -> list[OpenApiParameter]:
    schema = query.model_json_schema()
    return [
        OpenApiParameter(
            name,
            _plain(shape, schema.get("$defs", {})),
            required=name in schema.get("required", ()),
            description=shape.get("description", ""),
        )
        for name, shape in schema.get("properties", {}).items()
    ]


def _plain(shape: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of one parameter; a parameter is left out rather than null."""
    shape = shape["anyOf"][0] if "anyOf" in shape else shape
    found: dict[str, Any] = definitions[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
    return {key: value for key, value in found.items() if key not in ("title", "description")}
