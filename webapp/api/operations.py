"""An operation of the API: what it takes and answers is declared once, and is both judged and documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpResponseBase, QueryDict
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from pydantic import BaseModel, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from training.knobs import Strict
from webapp.api.idempotency import HEADER
from webapp.api.problems import invalid, refused
from webapp.api.wire import coerced

Handler = Callable[..., HttpResponseBase]
Shape = TypeVar("Shape", bound=BaseModel)


class Nothing(Strict):
    """An address that takes no parameters."""


class Endpoint(APIView):
    """An address; what it answers is for the caller alone and is asked for anew each time."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        return super().default_response_headers | {"Cache-Control": "private, no-cache"}


def operation(
    name: str,
    answer: type[BaseModel] | Mapping[tuple[int, str], Any],
    *,
    query: type[Strict] = Nothing,
    body: type[BaseModel] | None = None,
    form: type[BaseModel] | None = None,
    example: Any = None,
    status: int = 200,
    once: bool = False,
) -> Callable[[Handler], Handler]:
    """Judge query and body before the method runs, which gets them by name, and document it all.

    `form` judges the text fields of a multipart body that has a `file` beside them. `once` documents that the method
    heeds an idempotency key.
    """

    def declare(method: Handler) -> Handler:
        @wraps(method)
        def judged(view: Any, request: Request, **path: Any) -> HttpResponseBase:
            asked: dict[str, Any] = {"query": _of_text(query, _single(request.query_params, "query"), "query")}
            if body is not None:
                asked["body"] = read(body, request.data)
            if form is not None:
                asked["body"] = _of_text(form, _fields(request), "body")
            return method(view, request, **asked, **path)

        return extend_schema(
            operation_id=name,
            summary=(method.__doc__ or "").partition("\n")[0],
            description=method.__doc__,
            parameters=[*_parameters(query), *([HEADER] if once else [])],
            request={"multipart/form-data": _with_file(form)} if form else body,
            responses=answer if isinstance(answer, Mapping) else {status: answer},
            examples=[OpenApiExample("Example", value=example, request_only=True)] if example else [],
        )(judged)

    return declare


def _with_file(form: type[BaseModel]) -> dict[str, Any]:
    schema = form.model_json_schema()
    schema["properties"]["file"] = {"type": "string", "format": "binary"}
    schema["required"].append("file")
    return schema


def _single(given: QueryDict, what: str) -> dict[str, Any]:
    twice = {name: "given more than once" for name, values in given.lists() if len(values) > 1}
    if twice:
        raise refused(twice, what)
    return dict(given.items())


def _fields(request: Request) -> dict[str, Any]:
    given = request.data or QueryDict()  # an empty body is a plain dictionary
    assert isinstance(given, QueryDict)
    return {name: value for name, value in _single(given, "body").items() if name != "file"}


def _of_text(shape: type[Shape], given: dict[str, Any], what: str) -> Shape:
    """Fields that have no types of their own: a number is written in digits."""
    try:
        return shape.model_validate(given)
    except ValidationError as failure:
        raise invalid(failure, what) from None


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
