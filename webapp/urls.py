"""Every address of the site."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import URLPattern, URLResolver, include, path

from webapp.api.views.document import Docs

ROOMS = ("teams", "experiments", "runs", "datasets", "results", "reviews")

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/docs", login_required(Docs.as_view()), name="api-docs"),
    path("api/v1/", include("webapp.api.urls")),
    *(path("", include(f"webapp.{room}.urls")) for room in ROOMS),
]
