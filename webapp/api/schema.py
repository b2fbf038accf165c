"""The OpenAPI document: what pydantic cannot know about a spec, and what every operation has in common."""

from __future__ import annotations

from typing import Any

from training import catalog
from training.spec import RunSpec
from webapp.api.problems import MEDIA_TYPE, ProblemDocument

REFS = "#/components/schemas/{model}"
REFUSALS = {
    "400": "malformed or invalid; `errors` names every path",
    "401": "no valid token or session",
    "403": "your role does not allow it",
    "404": "not there, or not yours to see",
    "429": "too many requests; `Retry-After` says when",
    "default": "any other refusal or failure",
}


def spec_schema() -> dict[str, Any]:
    """The JSON schema of a spec, by itself."""
    schema = RunSpec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for card in catalog.cards().values():
        schema["$defs"][card.knobs.__name__] = card.knobs.model_json_schema()
    schema["$defs"]["ModelSpec"] = _with_presets(schema["$defs"]["ModelSpec"])
    return _with_methods(schema, "#/$defs/{model}")


def _with_presets(model: dict[str, Any]) -> dict[str, Any]:
    return model | {"properties": {"preset": model["properties"]["preset"] | {"enum": list(catalog.presets())}}}


def _with_methods(spec: dict[str, Any], refs: str) -> dict[str, Any]:
    """The spec's schema with the names of the methods and, by name, their knobs."""
    fields = dict(spec["properties"])
    fields["methods"] = fields["methods"] | {"items": {"type": "string", "enum": catalog.names()}}
    knobs = {name: {"$ref": refs.format(model=card.knobs.__name__)} for name, card in catalog.cards().items()}
    fields["knobs"] = {"title": "Knobs", "type": "object", "properties": knobs, "additionalProperties": False}
    return spec | {"properties": fields}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Postprocessing hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    schemas["RunSpec"] = _with_methods(schemas["RunSpec"], REFS)
    schemas["ModelSpec"] = _with_presets(schemas["ModelSpec"])
    for card in catalog.cards().values():
        schemas[card.knobs.__name__] = card.knobs.model_json_schema(ref_template=REFS)
    problem = ProblemDocument.model_json_schema(ref_template=REFS)
    schemas |= problem.pop("$defs") | {"ProblemDocument": problem}
    content = {MEDIA_TYPE: {"schema": {"$ref": REFS.format(model="ProblemDocument")}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"] |= {
                status: {"description": words, "content": content} for status, words in REFUSALS.items()
            }
    return result
