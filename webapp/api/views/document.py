"""The OpenAPI document, its page, and the answer of addresses that do not exist."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from webapp.api.problems import missing

DOCUMENT: Any = SchemaGenerator()  # type: ignore[no-untyped-call]


class OpenAPI(APIView):
    """The document."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponseBase:
        """Describe the API."""
        return Response(DOCUMENT.get_schema(request=request, public=True))


class Docs(SpectacularSwaggerSplitView):
    """The document as a page to try it on."""

    url_name = "api:openapi"
    template_name = "api/docs.html"
    permission_classes = [IsAuthenticated]


class Nowhere(APIView):
    """Every other address under the API."""

    @extend_schema(exclude=True)
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise missing()
