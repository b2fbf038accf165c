"""The OpenAPI document is what the API does."""

from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.webapp.api.callers import Api


def test_the_document_is_valid_openapi_3_1(api: Api) -> None:
    document = api.get("openapi.json").json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()
