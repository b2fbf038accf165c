"""Form fields made from pydantic fields: what the spec says of a value is what the browser shows of it.

pydantic alone judges; a form field only carries what was typed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin

from django import forms
from pydantic.fields import FieldInfo

from training import catalog
from training.knobs import Strict
from training.models.shape import Architecture
from webapp.api.problems import Problem
from webapp.api.wire import parse

ATTRIBUTES = {"ge": "min", "gt": "min", "le": "max", "lt": "max", "max_length": "maxlength"}
"""pydantic's bound -> the HTML attribute that says nearly the same; the strict bounds are judged on the server."""


def leaves(model: type[Strict], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every plain field of a model and of the models in it, by path."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, Strict):
            yield from leaves(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


def form_field(info: FieldInfo) -> forms.Field:
    """The form's field for one pydantic field."""
    kind = plain_type(info.annotation)
    common: dict[str, Any] = {
        "label": info.title or "",
        "help_text": info.description or "",
        "required": False,
        "initial": info.get_default(call_default_factory=True),
    }
    if kind is bool:
        return forms.BooleanField(**common)
    if get_origin(kind) is Literal:
        empty = [("", "not said")] if info.default is None else []
        choices = [*empty, *((value, value) for value in get_args(kind))]
        return forms.CharField(widget=forms.Select(choices=choices), **common)
    if offered := options(info):
        listed = [(value, value) for value in offered]
        return forms.MultipleChoiceField(choices=listed, widget=forms.CheckboxSelectMultiple, **common)
    if get_origin(kind) is tuple:
        return Listed(**common)
    attributes = bounds(info)
    if kind in (int, float):
        attributes["step"] = "any" if kind is float else "1"
        return forms.CharField(widget=forms.NumberInput(attrs=attributes), **common)
    return forms.CharField(widget=forms.TextInput(attrs=attributes), **common)


class JSONObject(forms.CharField):
    """A JSON object, taken as strictly as a body of the API."""

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else json.dumps(value) if value else ""

    def clean(self, value: Any) -> dict[str, Any]:
        text = super().clean(value)
        try:
            found = parse(text.encode()) if text else {}
        except Problem as problem:
            raise forms.ValidationError(str(problem.detail)) from None
        if not isinstance(found, dict):
            raise forms.ValidationError('give a JSON object: {"name": value}')
        return found


class Listed(forms.CharField):
    """Several numbers or names, typed with commas or spaces between them."""

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return ", ".join(one if isinstance(one, str) else f"{one:g}" for one in value)


def typed(value: Any, field: forms.Field) -> Any:
    """The numbers that a number field's text is, whole if they can be; what a choice chooses; all else as it came."""
    if isinstance(field, Listed):
        return [_number(part) for part in re.split(r"[\s,;]+", value) if part]
    if isinstance(field.widget, forms.Select):
        return next((choice for choice, _ in field.widget.choices if str(choice) == value), value)
    if not isinstance(field.widget, forms.NumberInput) or not isinstance(value, str):
        return value
    return _number(value)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            number = kind(text)
            return number if math.isfinite(number) else text
        except (ValueError, OverflowError):  # thousands of digits are neither
            continue
    return text


def options(info: FieldInfo) -> list[str]:
    """What the items of a list may be, where its JSON schema names them; empty where they are free."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    items = cast("dict[str, Any]", extra.get("items", {}))
    return list(items.get("enum", ()))


def plain_type(annotation: Any) -> Any:
    """The type without its None."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def bounds(info: FieldInfo) -> dict[str, Any]:
    """The HTML attributes that state a field's limits."""
    return {
        attribute: getattr(bound, name)
        for bound in info.metadata
        for name, attribute in ATTRIBUTES.items()
        if getattr(bound, name, None) is not None
    }


def range_text(info: FieldInfo) -> str:
    """A field's values in words, for a page: `0 < x <= 1`, `exact or bernoulli`, `yes or no`."""
    kind = plain_type(info.annotation)
    if kind is bool:
        return "yes or no"
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return "some of " + ", ".join(options(info)) if options(info) else "a list"
    signs = {"gt": "above {}", "ge": "from {}", "lt": "below {}", "le": "to {}"}
    found = (
        sign.format(f"{getattr(bound, name):g}")
        for name, sign in signs.items()
        for bound in info.metadata
        if getattr(bound, name, None) is not None
    )
    return " ".join(found) or "any"


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by path -> the dictionary that pydantic judges."""
    out: dict[str, Any] = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        place = out
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return out


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The way back: a dictionary of dictionaries -> values by path."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out


def preset_choices(task: str) -> list[tuple[str, str]]:
    """The task's networks, each with what it is."""
    return [(name, f"{name} ({_sizes(shape)})") for name, shape in catalog.task(task).presets.items()]


def _sizes(shape: Architecture) -> str:
    millions = shape.parameters / 1e6
    return f"{shape.summary}, {f'{millions:,.0f}' if millions > 999 else f'{millions:.3g}'} M parameters"
