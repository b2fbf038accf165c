"""JSON as it comes and goes: nothing ambiguous in, never a NaN out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

from django.conf import settings
from pydantic_core import to_json
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from webapp.api.problems import Problem

DEEPEST = 20
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""Each character is looked at once: a string that never ends takes the rest, and is not tried from every quote."""
_SURROGATES = re.compile("[\ud800-\udfff]")


class StrictJSON(BaseParser):
    """Parses a body that every JSON reader understands alike; each other body has a code of its own."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        return parse(read(stream, settings.DATA_UPLOAD_MAX_MEMORY_SIZE))


def read(stream: IO[bytes], limit: int) -> bytes:
    """The body; refused before more than the limit is read."""
    body = stream.read(limit + 1)
    if len(body) > limit:
        raise Problem(413, "too-large", f"The body is larger than {limit} bytes.")
    return body


def parse(body: bytes) -> Any:
    """The value; a Problem says why there is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Problem(400, "not-json", "The body is not UTF-8.") from None
    if _depth(text) > DEEPEST:
        raise Problem(400, "too-deep", f"The body nests deeper than {DEEPEST} levels.")
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_not_finite, parse_float=_finite)
    except ValueError as failure:  # an integer of thousands of digits is one too
        raise Problem(400, "not-json", f"The body is not JSON: {failure}.") from None
    for words in _strings(value):
        if "\0" in words or _SURROGATES.search(words):
            raise Problem(400, "forbidden-character", "The body has a NUL or half a character in a string.")
    return value


def _depth(text: str) -> int:
    level = deepest = 0
    for character in re.findall(r"[][{}]", _STRINGS.sub("", text)):
        level += 1 if character in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Problem(400, "duplicate-key", "An object of the body has a key twice.")
    return found


def _not_finite(text: str) -> float:
    raise Problem(400, "not-finite", f"The body has {text}, which is not a JSON number.")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text[:40])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _strings(part)


class StrictRenderer(BaseRenderer):
    """Writes plain values and pydantic models; a number that is not finite is null."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else to_json(data, inf_nan_mode="null")


class OneFormat(BaseContentNegotiation):
    """There is one representation of everything, so nothing is negotiated (RFC 9110, 12.5.1)."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        content_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def coerced(given: Any, parsed: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where a scalar became another type than it had in JSON: `true` is not 1 and `"4"` is not 4."""
    if isinstance(given, dict):
        for key, value in given.items():
            inner = parsed.get(key) if isinstance(parsed, Mapping) else getattr(parsed, key, None)
            yield from coerced(value, inner, f"{path}.{key}" if path else key)
    elif isinstance(given, list):
        for place, (value, inner) in enumerate(zip(given, parsed, strict=False)):
            yield from coerced(value, inner, f"{path}.{place}" if path else str(place))
    elif isinstance(parsed, bool | int | float | str) and (_kind(given), _kind(parsed)) not in FAITHFUL:
        yield path, f"give {NAMES[_kind(parsed)]}, not {NAMES[_kind(given)]}"


NAMES: dict[type, str] = {bool: "true or false", int: "an integer", float: "a number", str: "text"}
FAITHFUL = {(int, float)} | {(kind, kind) for kind in NAMES}
"""Kinds in JSON and in Python that say the same."""


def _kind(value: Any) -> type:
    return next(kind for kind in NAMES if isinstance(value, kind))
