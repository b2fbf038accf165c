"""The method pages: a card as people read it."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from pydantic.fields import FieldInfo

from training import catalog
from webapp.experiments.fields import flat, leaves, range_text


class KnobRow(NamedTuple):
    """A knob as its method's page shows it."""

    path: str
    info: FieldInfo
    values: str
    default: Any
    presets: list[Any]


@require_GET
def methods(request: HttpRequest) -> HttpResponse:
    """All methods."""
    return render(request, "experiments/methods.html", {"cards": catalog.cards().values()})


@require_GET
def method(request: HttpRequest, name: str) -> HttpResponse:
    """One method: what it does, its knobs, what its paper claims."""
    if name not in catalog.names():
        raise Http404
    card = catalog.card(name)
    presets = [flat(knobs.model_dump()) for knobs in (card.presets or {}).values()]
    knobs = [
        KnobRow(path, info, range_text(info), info.get_default(), [values[path] for values in presets])
        for path, info in leaves(card.knobs)
    ]
    return render(request, "experiments/method.html", {"card": card, "knobs": knobs})
