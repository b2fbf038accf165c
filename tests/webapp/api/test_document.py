"""The OpenAPI document is what the API does."""

from __future__ import annotations

from django.test import Client
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.webapp.api.callers import Api
from training import catalog
from training.spec import RunSpec


def test_the_document_is_valid_openapi_3_1(api: Api) -> None:
    document = api.get("openapi.json").json()
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_has_an_id_a_summary_and_says_how_it_refuses(api: Api) -> None:
    document = api.get("openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) > 20
    problem = {"$ref": "#/components/schemas/ProblemDocument"}
    for operation in operations:
        assert operation["summary"]
        assert {"bearer": []} in operation["security"]
        assert operation["responses"]["default"]["content"]["application/problem+json"]["schema"] == problem


def test_the_spec_in_the_document_names_the_methods_and_their_knobs(api: Api) -> None:
    schemas = api.get("openapi.json").json()["components"]["schemas"]
    knobs = schemas["RunSpec"]["properties"]["knobs"]
    assert set(knobs["properties"]) == set(catalog.names())
    assert knobs["properties"]["est"] == {"$ref": "#/components/schemas/EstKnobs"}
    assert "heads" in schemas["EstKnobs"]["properties"]


def test_the_schema_of_a_spec_stands_by_itself_and_takes_its_own_defaults(api: Api) -> None:
    schema = api.get("spec").json()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(RunSpec(methods=("est",)).model_dump(mode="json"))


def test_document_and_page_are_for_people_who_signed_in(member: object) -> None:
    assert Client().get("/api/v1/openapi.json").status_code == 401
    assert Client().get("/api/docs").headers["Location"] == "/sign-in/?next=/api/docs"
