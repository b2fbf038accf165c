"""Generated requests against the OpenAPI document: nothing fails, and every answer is as described."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as effort
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.webapp.api.callers import Api
from webapp.api.views.document import DOCUMENT

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]
CASES = 30
"""Requests per operation."""
FIXED = effort(
    max_examples=CASES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
pytestmark = pytest.mark.django_db(transaction=True)


OPERATIONS = [
    (method, path)
    for path, operations in DOCUMENT.get_schema(request=None, public=True)["paths"].items()
    for method in operations
]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_is_as_described(
    method: str, path: str, api: Api, settings: Any, request_body: dict[str, Any]
) -> None:
    settings.API_RATES = {"read": "1000000/min", "write": "1000000/min"}
    experiment = api.post("experiments", request_body).json()
    report = api.post("reports", {"experiment": experiment["code"], "title": "Report"}).json()["code"]
    remark = api.post(f"reports/{report}/comments", {"text": "Why?"}).json()["code"]
    run = experiment["arms"][0]["runs"][0]["code"]
    real = {"experiments": experiment["code"], "runs": run, "reports": report}
    headers = {"Authorization": api.client.defaults["HTTP_AUTHORIZATION"]}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application(), headers=headers)
    operation = schema[path][method]
    known = {"code": real.get(path.split("/")[3]), "name": "est", "remark": remark, "revision": 1}
    answered: Counter[int] = Counter()

    @FIXED
    @given(case=operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE))
    def attack(case: Any) -> None:
        if answered.total() % 4:  # else what was made up: it leads nowhere
            case.path_parameters = {name: known[name] or value for name, value in (case.path_parameters or {}).items()}
            if isinstance(case.body, dict) and isinstance(case.body.get("project"), str):
                case.body["project"] = "atlas"
            if isinstance(case.body, dict) and re.fullmatch("[2-9a-z]{12}", str(case.body.get("experiment"))):
                case.body["experiment"] = experiment["code"]
        answered[case.call_and_validate(headers=headers, checks=CHECKS).status_code] += 1

    attack()
